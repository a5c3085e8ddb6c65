"""The reader of parquet files, with limits on the memory that they take."""

from pathlib import Path
from typing import Any

from compress.data.cells import text_of
from compress.data.tables import MAX_RATIO, Table, check_cells
from compress.errors import InputError

SMALL_BYTES = 2**30
"""Unpacked size that any file may have; beyond it, at most `MAX_RATIO` times the file's own size."""
_ROWS_AT_ONCE = 4096
_BYTES_OF_A_NUMBER = 8
_BYTES_OF_A_CELL = 64
"""Memory of a value as a text in a row, beside its characters; in the file it may take a few bits."""


def read_parquet(path: Path) -> Table:
    """The table of a parquet file; columns of lists and other nested values are not read, and can have no role."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as opened:
        try:
            schema = pq.read_schema(opened)
            opened.seek(0)
            return _read(pq.ParquetFile(opened, read_dictionary=_texts(schema)), path)
        except (pa.ArrowException, OSError) as error:  # Arrow raises OSError for data that it cannot decode
            raise InputError(f"'{path.name}' is not a parquet file", where=str(path), fix="write it again") from error


def _texts(schema: Any) -> list[str]:
    """Names of the columns of texts: read as distinct values, so that their unpacked size is known beforehand."""
    import pyarrow as pa

    def is_text(kind: Any) -> bool:
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_binary(kind)
            or pa.types.is_large_binary(kind)
        )

    return [field.name for field in schema if is_text(field.type)]


def _read(file: Any, path: Path) -> Table:
    import pyarrow as pa

    schema = file.schema_arrow
    columns = tuple(schema.names)
    check_cells(file.metadata.num_rows, len(columns), path.name)
    unfit = {field.name: f"holds {field.type}" for field in schema if pa.types.is_nested(field.type)}
    flat = list(dict.fromkeys(name for name in columns if name not in unfit))
    if len(set(columns)) != len(columns):
        raise _repeated(columns, path)
    budget = max(SMALL_BYTES, MAX_RATIO * path.stat().st_size)
    budget -= _BYTES_OF_A_CELL * file.metadata.num_rows * len(columns)
    if budget < 0:
        raise _too_much(path)
    rows: list[tuple[str, ...]] = []
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=flat):
        budget -= sum(map(_unpacked_bytes, batch.columns))
        if budget < 0:
            raise _too_much(path)
        cells = {name: _cells(batch.column(name), name, unfit) for name in flat}
        empty = [""] * batch.num_rows
        rows += zip(*(cells.get(name, empty) for name in columns), strict=True)
    return Table(path.name, columns, rows, unfit)


def _too_much(path: Path) -> InputError:
    return InputError(
        f"'{path.name}' unpacks to more than {MAX_RATIO} times its size",
        where=str(path),
        fix="write it again with the columns of the text and the label",
    )


def _repeated(columns: tuple[str, ...], path: Path) -> InputError:
    name = next(name for name in columns if columns.count(name) > 1)
    return InputError(f"'{path.name}' has two columns of the same name: '{name}'", where=path.name, fix="rename one")


def _unpacked_bytes(column: Any) -> int:
    """Bytes of a column's values, with repeated values counted each time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    values = column.dictionary
    if pa.types.is_primitive(values.type):
        return _BYTES_OF_A_NUMBER * len(column)
    lengths = pc.binary_length(values).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0) + int(column.indices.nbytes)


def _cells(column: Any, name: str, unfit: dict[str, str]) -> list[str]:
    """The values as text; a column with a value that is not text is noted in `unfit`."""
    try:
        return list(map(text_of, column.to_pylist()))
    except (ValueError, ArithmeticError):
        unfit.setdefault(name, "holds a value that is no UTF-8 text, or no date that a calendar has")
        return [""] * len(column)
