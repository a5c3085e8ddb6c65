"""The file or folder that was probably meant by a path that does not exist."""

from pathlib import Path

from compress.errors import nearest


def similar_name(path: Path) -> str | None:
    """The name of a file or folder in the same folder, with the same ending and nearly the same name."""
    try:
        alike = {other.stem: other.name for other in path.parent.iterdir() if other.suffix == path.suffix}
    except OSError:  # there is no such folder either
        return None
    stem = nearest(path.stem, alike)
    return alike[stem] if stem is not None else None
