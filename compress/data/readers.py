"""Files of rows to one shape: csv, tsv, jsonl, json, parquet and Orange's .tab, the texts also packed with gzip."""

from collections.abc import Callable
from pathlib import Path

from compress.data.contents import check_kind
from compress.data.delimited import read_csv, read_orange, read_tsv
from compress.data.json_rows import read_json, read_json_lines
from compress.data.parquet import read_parquet
from compress.data.tables import Table
from compress.errors import InputError

_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".tab": read_orange,
    ".jsonl": read_json_lines,
    ".json": read_json,
    ".parquet": read_parquet,
}
_ACCEPTED = f"accepted: {', '.join(sorted(_READERS))}; all but .parquet also as .csv.gz"


def read_table(path: Path, where: str | None = None) -> Table:
    """Read a file by its ending; of texts, `.gz` behind it makes no difference.

    Raises:
        InputError: an unknown ending, an unreadable or an empty file, or one that is something else than its ending
            says; with the line where one is known.
    """
    ending = path.suffix.lower()
    packed = ending == ".gz"
    reader = _READERS.get(Path(path.stem).suffix.lower() if packed else ending)
    if path.is_dir():
        raise InputError(
            f"cannot read '{path.name}': it is a folder", where=where, fix=f"name a file in it; {_ACCEPTED}"
        )
    if path.exists() and not path.is_file():  # a device or a pipe may never end
        raise InputError(f"cannot read '{path.name}': it is no plain file", where=where, fix="give the file itself")
    try:
        check_kind(path, where)
        if reader is None or (packed and reader is read_parquet):
            raise InputError(f"cannot read '{path.name}': unknown ending '{path.suffix}'", where=where, fix=_ACCEPTED)
        table = reader(path)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}", where=where, fix="check the path") from error
    if not table.rows:
        raise InputError(f"'{path.name}' holds no rows", where=where, fix="give a file with a header and rows")
    return table
