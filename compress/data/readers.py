"""Readers of tables by ending: csv, tsv, txt, jsonl, json and Orange's .tab, all also packed; parquet; workbooks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from compress.data.contents import check_kind
from compress.data.delimited import read_csv, read_orange, read_tsv
from compress.data.json_rows import read_json, read_json_lines
from compress.data.parquet import read_parquet
from compress.data.tables import Table
from compress.data.texts import Encoding, encoding_of
from compress.data.workbooks import read_workbook
from compress.errors import InputError, did_you_mean
from compress.recipe.reading import AS_IT_SAYS, Reading, reading_of

_DELIMITED: dict[str, Callable[[Path, Encoding, str | None], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".txt": read_csv,
}
_OTHER_TEXTS: dict[str, Callable[[Path, Encoding], Table]] = {
    ".tab": read_orange,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
}
_BINARY: dict[str, Callable[[Path], Table]] = {
    ".parquet": read_parquet,
}
_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_PACKED = (*_DELIMITED, *_OTHER_TEXTS)
_ACCEPTED = f"accepted: {', '.join(sorted((*_PACKED, *_BINARY)))}, {', '.join(_WORKBOOKS)}; texts also as .csv.gz"


def read_table(
    path: Path,
    where: str | None = None,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | None = None,
) -> Table:
    """The table of a file, read by the file's ending; text files may also be packed (`.csv.gz`).

    Args:
        encoding: the encoding of a text that has no byte order mark and is not UTF-8.
        delimiter: the delimiter of a text; without it, the first rows show it.
        sheet: a workbook's sheet; without it, the only one that holds rows.

    Raises:
        InputError: the ending is unknown, the file is unreadable or empty, or its content does not fit its ending;
            with the line if one is known. An `OptionNeededError` if an option would make it readable.
    """
    return read_file(path, where, reading_of(encoding, delimiter, sheet, where))


def read_file(path: Path, where: str | None = None, reading: Reading = AS_IT_SAYS) -> Table:
    """The table of a file, as in `read_table`, with the options in one object; it raises the same errors."""
    ending = path.suffix.lower()
    packed = ending == ".gz"
    ending = Path(path.stem).suffix.lower() if packed else ending
    if path.is_dir():
        raise InputError(
            f"cannot read '{path.name}': it is a folder", where=where, fix=f"name a file in it; {_ACCEPTED}"
        )
    if path.exists() and not path.is_file():  # a device or a pipe may never end
        raise InputError(f"cannot read '{path.name}': it is no plain file", where=where, fix="give the file itself")
    try:
        check_kind(path, where, may_be_workbook=ending in _WORKBOOKS)
        if ending not in _PACKED and (packed or ending not in (*_BINARY, *_WORKBOOKS)):
            fix = did_you_mean(path.suffix, (*_PACKED, *_BINARY, *_WORKBOOKS), _ACCEPTED)
            raise InputError(f"cannot read '{path.name}': unknown ending '{path.suffix}'", where=where, fix=fix)
        table = _read(path, ending, reading)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}", where=where, fix="check the path") from error
    if not table.rows:
        raise InputError(f"'{path.name}' holds no rows", where=where, fix="give a file with a header and rows")
    return table


def _read(path: Path, ending: str, reading: Reading) -> Table:
    if ending in _BINARY:
        return _BINARY[ending](path)
    if ending in _WORKBOOKS:
        return read_workbook(path, reading.sheet)
    encoding = encoding_of(path, reading.encoding)
    if ending in _DELIMITED:
        table = _DELIMITED[ending](path, encoding, reading.sign)
    else:
        table = _OTHER_TEXTS[ending](path, encoding)
    return replace(table, notes=(*encoding.notes, *table.notes)) if encoding.notes else table
