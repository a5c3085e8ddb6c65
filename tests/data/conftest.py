import gzip

import pytest

from compress.data.readers import read_table
from compress.errors import InputError


@pytest.fixture
def read(tmp_path):
    """The table of a file of this content."""

    def write_and_read(name, content, **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, "recipe.yaml:4", **options)

    return write_and_read


@pytest.fixture
def columns(read):
    """(text, label) of each row of a file of this content."""

    def read_columns(name, content, **options):
        table = read(name, content, **options)
        return list(zip(table.column("text", None), table.column("label", None), strict=True))

    return read_columns


@pytest.fixture
def refused(columns):
    """The error of a file of this content, which says what to do."""

    def refuse(name, content, **options):
        with pytest.raises(InputError) as caught:
            columns(name, content, **options)
        assert caught.value.fix
        return caught.value

    return refuse


def packed(content: bytes) -> bytes:
    """Packed with gzip, the same each time: the tests' names hold it."""
    return gzip.compress(content, mtime=0)
