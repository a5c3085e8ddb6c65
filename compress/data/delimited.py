"""Tables in text files with a delimiter: csv, tsv, and Orange's .tab."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from compress.data.arrow_delimited import arrow_records
from compress.data.cells import trimmed
from compress.data.delimiters import SAMPLED, find_sign, look_like_rows
from compress.data.tables import TITLE_LINES, Table, check_cells, check_title
from compress.data.texts import Encoding, numbered_lines, open_text
from compress.errors import InputError

csv.field_size_limit(2**31 - 1)

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?')
"""The first line with which Excel names the delimiter."""
_ORANGE_TYPES = {"d", "c", "s", "t", "discrete", "continuous", "string", "time", ""}
_ROWS_AT_ONCE = 4096
_ONE_FOR_SEVERAL = "\x1f"
"""The single character that replaces a longer delimiter while a line is parsed."""


def read_csv(path: Path, encoding: Encoding, sign: str | None) -> Table:
    """The table of a csv file; without `sign`, Excel's `sep=` line or the first rows show the delimiter."""
    return _read(path, encoding, sign, ",")


def read_tsv(path: Path, encoding: Encoding, sign: str | None) -> Table:
    """The table of a tsv file; without `sign`, the first rows show the delimiter."""
    return _read(path, encoding, sign, "\t")


def read_orange(path: Path, encoding: Encoding) -> Table:
    """The table of an Orange .tab file: three header lines (names, types, flags), then tab-separated rows."""
    with open_text(path, encoding) as file:
        records = _Records(path.name, numbered_lines(file, path, encoding), "\t")
        header = [line for _, line in zip(range(3), records, strict=False)]
        if not header:
            return Table(path.name, (), [])
        if [number for number, _ in header] != [1, 2, 3] or not set(header[1][1]) <= _ORANGE_TYPES:
            raise InputError(
                f"'{path.name}' does not begin with Orange's three header lines (names, types, flags)",
                where=f"{path.name}:2",
                fix="rename it to .tsv if it has one header line",
            )
        return _table(header[0][1], records)


def _read(path: Path, encoding: Encoding, sign: str | None, usual: str) -> Table:
    with open_text(path, encoding) as file:
        lines = numbered_lines(file, path, encoding)
        number, first = next(((number, line) for number, line in enumerate(lines, start=1) if line.strip()), (0, ""))
        _check_no_json(first, path.name)
        excel_line = _SEPARATOR_LINE.fullmatch(first.rstrip("\r\n"))
        if excel_line:
            records = _Records(path.name, lines, sign or excel_line[1], skipped=number)
        else:
            begin = [first, *islice(lines, SAMPLED - 1)]
            sign = sign or find_sign(begin, usual, path.name, skipped=number - 1)
            if encoding.is_utf8 and (arrow_rows := arrow_records(path, sign)) is not None:
                return Table(path.name, arrow_rows[0], arrow_rows[1:], headed=True)
            records = _Records(path.name, chain(begin, lines), sign, skipped=number - 1)
        header = next(iter(records), None)
        return Table(path.name, (), []) if header is None else _table(header[1], records)


def _check_no_json(line: str, name: str) -> None:
    if re.match(r'\s*(\[\s*)?\{\s*"|\[\s*$', line):
        raise InputError(
            f"'{name}' holds JSON", where=f"{name}:1", fix="rename it to .jsonl (one object a line) or .json (an array)"
        )


class _Records:
    """The records of a file that are not blank, with the numbers of their first lines.

    Attributes:
        name: the file's name, for error messages.
    """

    def __init__(self, name: str, lines: Iterable[str], delimiter: str, skipped: int = 0) -> None:
        self.name, self.skipped = name, skipped
        self.sign = delimiter
        self.delimiter = delimiter if len(delimiter) == 1 else _ONE_FOR_SEVERAL
        self._doubtful: list[str] = []
        self._lines: list[str] = []
        self._reader = csv.reader(self._copied_lines(lines), delimiter=self.delimiter, strict=True)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            begin = self._reader.line_num + 1 + self.skipped
            self._lines.clear()
            try:
                record = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._malformed(error, begin) from error
            if record and record != [""]:
                if len(self._lines) > 1:
                    self._check_quoted_rows(begin, len(record))
                yield begin, record if self.sign == self.delimiter else self._as_written(record)

    @property
    def notes(self) -> tuple[str, ...]:
        """Doubts about the records so far."""
        more = f" (and {len(self._doubtful) - 1:,} more such rows)" if len(self._doubtful) > 1 else ""
        return tuple(f"{first}{more}" for first in self._doubtful[:1])

    def _copied_lines(self, lines: Iterable[str]) -> Iterator[str]:
        for line_in_file in lines:
            line = line_in_file
            if self.sign != self.delimiter:
                if self.delimiter in line:
                    raise InputError(
                        f"a line of '{self.name}' holds the character U+001F, which is none of a text",
                        where=f"{self.name}:{self._reader.line_num + 1 + self.skipped}",
                        fix="remove it",
                    )
                line = line.replace(self.sign, self.delimiter)
            self._lines.append(line)
            yield line

    def _as_written(self, record: list[str]) -> list[str]:
        """The cells with the longer delimiter put back."""
        return [cell.replace(self.delimiter, self.sign) for cell in record]

    def _malformed(self, error: csv.Error, begin: int) -> InputError:
        last = begin + max(len(self._lines) - 1, 0)
        if str(error).startswith("unexpected end"):
            what, fix = "a quote that is never closed", "close it; a quote inside of a quoted cell is written twice"
        else:
            what = f"{error} in line {last}"
            fix = 'a quote inside of a quoted cell is written twice (""), not as \\"'
        return InputError(f"'{self.name}' is not well-formed: {what}", where=f"{self.name}:{begin}", fix=fix)

    def _check_quoted_rows(self, begin: int, width: int) -> None:
        """Refuse or note a cell that may be several rows, joined by a stray quote.

        It is refused in tab-separated files: they are often written without quoting, so a text may begin with a quote.
        """
        lines = self._lines
        if not look_like_rows(lines, self.delimiter, width):
            return
        what = (
            f"lines {begin} to {begin + len(lines) - 1} of {self.name} are one row by their quotes, but look like rows"
        )
        if self.delimiter == "\t":
            raise InputError(
                what, where=f"{self.name}:{begin}", fix='quote that cell, and write each quote inside of it twice ("")'
            )
        self._doubtful.append(what)


def _table(columns: Sequence[str], records: _Records) -> Table:
    rows: list[tuple[str, ...]] = []
    first: list[tuple[int, list[str]]] = []
    name, names = records.name, list(map(trimmed, columns))
    for number, record in records:
        if len(record) == 1 < len(columns) and not trimmed(record[0]):
            continue
        if len(record) != len(columns):
            raise InputError(
                f"a row of '{name}' has {len(record)} columns, the header has {len(columns)}",
                where=f"{name}:{number}",
                fix=_widths(len(record) - len(columns), bool(rows), record[-1], records.sign),
            )
        if len(columns) > 1 and trimmed(record[0]) == names[0] and list(map(trimmed, record)) == names:
            raise InputError(
                f"'{name}' repeats its header", where=f"{name}:{number}", fix="remove that line: are these two files?"
            )
        rows.append(tuple(record))
        if len(first) < TITLE_LINES:
            first.append((number, record))
        if len(rows) % _ROWS_AT_ONCE == 0:
            check_cells(len(rows), len(columns), name)
    check_title(columns, first, name)
    return Table(name, tuple(columns), rows, notes=records.notes, headed=True)


def _widths(more: int, is_later: bool, last: str, delimiter: str) -> str:
    """The fix for a row that has `more` columns than the header."""
    sign = "tab" if delimiter == "\t" else f"'{delimiter}'"
    if more == 1 and not is_later and not last:
        return f"rows end in a {sign} where the header does not: write one behind the header, or remove theirs"
    if more == 1 and not is_later:
        return f"name the first column too, if it holds row names; a cell that holds a {sign} needs quotes"
    if more > 0:
        return f"check the delimiters and quotes there: a cell that holds a {sign} needs quotes"
    return "check the delimiters and quotes there: a cell is missing, or a comment is no row"
