"""Large delimited files read by pyarrow.csv: 1.4 times as fast, or as fast if many cells hold line breaks.

pyarrow accepts some mistakes silently (a letter after a closing quote), and its errors give no line numbers. So it
reads only files whose quotes are plain. All others are left to `compress.data.delimited`, whose errors say more.
"""

from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.cells import trimmed
from compress.data.contents import open_bytes
from compress.data.delimiters import look_like_rows
from compress.data.tables import MAX_CELLS

LEAST_BYTES = 2**23
"""Size from which a file is read with pyarrow: to import it takes as long as to read a smaller file."""
_MOST_BYTES = 2**31
"""Largest content that is read this way: it is held in memory together with the rows."""
_BLOCK_BYTES = 2**24
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_QUOTE = ord('"')
_PART = 2**18
"""Bytes that are compared at once: few enough for the processor's cache."""


def arrow_records(path: Path, sign: str) -> list[tuple[str, ...]] | None:
    """The records of a UTF-8 file, the header first; None if `compress.data.delimited` is to read it.

    Args:
        sign: the delimiter.

    Raises:
        InputError: its packing is damaged.
        OSError: it cannot be read.
    """
    if path.stat().st_size < LEAST_BYTES or len(sign) != 1 or not sign.isascii():
        return None
    with open_bytes(path) as file:
        content = file.read(_MOST_BYTES + 1).removeprefix(_BYTE_ORDER_MARK)
    if len(content) > _MOST_BYTES:
        return None
    table = _parsed(content, sign) if _is_plain(content, sign) else None
    if table is None or table.num_columns < 2 or table.num_rows * table.num_columns > MAX_CELLS:
        return None
    has_lines = b'"' in content and content.count(b"\n") > table.num_rows
    if has_lines and _has_doubtful_lines(table, sign):
        return None
    records: list[tuple[str, ...]] = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return records if records and _has_plain_header(table, records) else None


def _is_plain(content: bytes, sign: str) -> bool:
    """Whether each quote opens or closes a cell or is doubled in one, lines end in LF or CR LF, and no byte is NUL.

    Quotes open and close in turns. An opening quote comes after a delimiter or a line's end, a closing quote before
    one. Of a doubled quote the first counts as closing and the second as opening.
    """
    if b"\0" in content or content.startswith(_BYTE_ORDER_MARK) or content.count(b"\r") != content.count(b"\r\n"):
        return False
    if b'"' not in content:
        return True
    data = np.frombuffer(content, dtype=np.uint8)
    parts = range(0, len(data), _PART)
    quotes = np.concatenate([np.flatnonzero(data[start : start + _PART] == _QUOTE) + start for start in parts])
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    ends = np.zeros(256, dtype=bool)
    ends[[ord(sign), *b"\n\r"]] = True
    begins_cell = ends[data[opening - 1]]  # index -1 is the last byte, which is checked below
    ends_cell = ends[data[np.minimum(closing + 1, len(data) - 1)]]
    begins_cell[0] |= opening[0] == 0
    ends_cell[-1] |= closing[-1] == len(data) - 1
    reopens = opening[1:] == closing[:-1] + 1
    begins_cell[1:] |= reopens
    ends_cell[:-1] |= reopens
    return bool(begins_cell.all() and ends_cell.all())


def _parsed(content: bytes, sign: str) -> Any:
    """The columns as texts, the header's cells first; None if the rows differ in width, or are not UTF-8."""
    import pyarrow as pa
    from pyarrow import csv

    columns = (
        content.partition(b"\n")[0].count(sign.encode()) + 1
    )  # too many if a delimiter is quoted, which does no harm
    try:
        table = csv.read_csv(
            pa.BufferReader(content),
            read_options=csv.ReadOptions(block_size=_BLOCK_BYTES, autogenerate_column_names=True),
            parse_options=csv.ParseOptions(delimiter=sign, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types={f"f{place}": pa.string() for place in range(columns)}, strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        return None
    return table if all(column.type == pa.string() for column in table.columns) else None


def _has_doubtful_lines(table: Any, sign: str) -> bool:
    """Whether a record of several lines may be several rows."""
    import pyarrow.compute as pc

    def count(text: str) -> Any:
        return reduce(pc.add, [pc.count_substring(column, text) for column in several.columns])

    more = table.num_columns - 1
    several = table.filter(reduce(pc.or_, [pc.match_substring(column, "\n") for column in table.columns]))
    may_fit = several.filter(pc.equal(count(sign), pc.multiply(count("\n"), more)))
    records = zip(*(column.to_pylist() for column in may_fit.columns), strict=True)
    return any(look_like_rows(sign.join(cells).split("\n"), sign, table.num_columns) for cells in records)


def _has_plain_header(table: Any, records: list[tuple[str, ...]]) -> bool:
    """Whether no row repeats the header, and the header does not look like a title."""
    import pyarrow.compute as pc

    names = list(map(trimmed, records[0]))
    alike = pc.indices_nonzero(pc.match_substring(table.column(0), names[0])).to_pylist()
    is_repeated = any(list(map(trimmed, records[row])) == names for row in alike if row)
    return not is_repeated and any(names[1:])
