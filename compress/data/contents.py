"""What a file holds, whatever its name says: text in one of Unicode's encodings, packed or not, or something else."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from compress.data.tables import MAX_RATIO
from compress.errors import InputError

GZIP = b"\x1f\x8b"
SMALL_BYTES = 2**26
"""Up to here a gzip file may unpack to whatever it likes; from here on to `MAX_RATIO` bytes for each of its own."""
_PEEKED = 2**16
_UNPACK = "unpack it, or pack it with gzip: .csv.gz"
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's mark does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_KINDS = (
    (0, rb"PAR1", "a parquet file", "rename it to .parquet"),
    (0, rb"ARROW1|FEA1", "an Arrow (Feather) file", "write it as parquet"),
    (0, rb"SQLite format 3\0", "an SQLite database", "write its table as CSV"),
    (0, rb"\x80[\x02-\x05]", "a pickle", "write it as CSV or parquet where you trust it"),
    (0, rb"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save it as CSV (UTF-8)"),
    (0, rb"%PDF", "a PDF", "give a table of rows"),
    (0, rb"\x89HDF", "an HDF5 file", "write its table as CSV or parquet"),
    (0, rb"\x93NUMPY", "a NumPy array", "write it as CSV or parquet"),
    (0, rb"Obj\x01|ORC", "an Avro or ORC file", "write it as parquet"),
    (0, GZIP, "packed twice with gzip", "unpack it once"),
    (0, rb"BZh[1-9]|\xfd7zXZ\0|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!", "a packed file", _UNPACK),
    (257, rb"ustar", "a tar archive", "unpack it, and name the file in it"),
    (0, rb"version https://git-lfs", "a Git LFS pointer in place of the file", "fetch the file: git lfs pull"),
    (0, rb"(?i:(?:\xef\xbb\xbf)?\s*(?:<!doctype html|<html|<head))", "an HTML page", "download the file itself"),
    (0, rb"(?:\xef\xbb\xbf)?<\?xml", "an XML file", "write it as CSV"),
)
"""Offset, pattern, what it is, and what to do about it."""
_IN_ZIP = (
    (b"xl/workbook", "an Excel file", "save it as CSV (UTF-8)"),
    (b"word/document", "a Word file", "write its rows as CSV"),
    (b"opendocument", "an OpenDocument file", "save it as CSV (UTF-8)"),
    (b"PK", "a zip archive", "unpack it, and name the file in it"),
)


def check_kind(path: Path, where: str | None) -> None:
    """Refuse a file whose content is known to be no text, whatever its name; parquet is left to its own reader.

    Raises:
        InputError: with what it is, and what to do.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_PEEKED)
        if head.startswith(b"PK\x03\x04"):
            file.seek(max(0, path.stat().st_size - _PEEKED))
            tail = file.read(_PEEKED)
            told = next((what, fix) for mark, what, fix in _IN_ZIP if mark in head or mark in tail)
            raise _is_no_text(path.name, *told, where)
    if not head.startswith((GZIP, b"PAR1")):
        _check_head(head, path.name, where)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The file's text, unpacked if it is packed with gzip; line ends as they are.

    Raises:
        InputError: it is no text, not in UTF-8 or with the mark of UTF-16 or UTF-32, or its packing is damaged.
        OSError: it cannot be read.
    """
    with _open_bytes(path) as file:
        head = file.peek(_PEEKED)
        _check_head(head, path.name, None)
        encoding = next((name for mark, name in _ENCODINGS if head.startswith(mark)), "utf-8")
        try:
            yield io.TextIOWrapper(file, encoding=encoding, newline="")
        except UnicodeDecodeError as error:
            raise _not_text(path, encoding) from error


def numbered_lines(file: TextIO, name: str) -> Iterator[str]:
    """Lines of a text, none of which holds a NUL.

    Raises:
        InputError: with the line of the first NUL.
    """
    for number, line in enumerate(file, start=1):
        if "\0" in line:
            wide = line[:200].count("\0") >= len(line[:200]) // 3
            raise InputError(
                f"'{name}' holds NUL bytes" + (": it seems to be UTF-16 without its mark" if wide else ""),
                where=f"{name}:{number}",
                fix="save it as UTF-8" if wide else f"it is damaged: export it again, or tr -d '\\000' < {name}",
            )
        yield line


@contextmanager
def _open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP
        raw.seek(0)
        if packed:
            yield io.BufferedReader(_Unpacked(raw, path), _PEEKED)
        else:
            yield raw


class _Unpacked(io.RawIOBase):
    """What a gzip file unpacks to, as far as is reasonable for its size."""

    def __init__(self, packed: BinaryIO, path: Path) -> None:
        self.path, self.left = path, max(SMALL_BYTES, MAX_RATIO * path.stat().st_size)
        self.file = gzip.GzipFile(fileobj=packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        name = self.path.name
        try:
            count = self.file.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            what = "ends in the middle" if isinstance(error, EOFError) else "is damaged"
            raise InputError(f"'{name}', packed with gzip, {what}", where=name, fix="fetch or pack it again") from error
        self.left -= count
        if self.left < 0:
            raise InputError(
                f"'{name}' unpacks to more than {MAX_RATIO} times its size",
                where=name,
                fix="unpack it, and keep the columns of the text and the label",
            )
        return count


def _check_head(head: bytes, name: str, where: str | None) -> None:
    for offset, pattern, what, fix in _KINDS:
        if re.compile(pattern).match(head, offset):
            raise _is_no_text(name, what, fix, where)


def _is_no_text(name: str, what: str, fix: str, where: str | None) -> InputError:
    return InputError(f"'{name}' is {what}, no table of rows that is read here", where=where or name, fix=fix)


def _not_text(path: Path, encoding: str) -> InputError:
    """The error of a file that is not in its encoding, with the first line that is not, and what it would be."""
    if not encoding.startswith("utf-8"):
        name = encoding.upper()
        return InputError(f"'{path.name}' is not whole {name} text", where=path.name, fix="save it again, as UTF-8")
    bad, line, has_utf8 = 1, b"", False
    with _open_bytes(path) as file:
        for number, raw in enumerate(file, start=1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                if not line:
                    bad, line = number, raw
            else:
                has_utf8 = has_utf8 or not raw.isascii()
    if line[:200].count(b"\0") >= len(line[:200]) // 3 > 0:
        what, fix = "it seems to be UTF-16 without its mark", "save it as UTF-8"
    else:
        old = "cp1252" if re.search(rb"[\x80-\x9f]", line) else "latin-1"
        what = f"in {old} that line has '{_around(line, old)}'"
        fix = f"save it as UTF-8, for example: iconv -f {old} -t utf-8 {path.name} > utf-8.csv"
        if has_utf8:
            fix = "other lines are UTF-8, so mend that line and those like it; do not convert the whole file"
    return InputError(f"'{path.name}' is not UTF-8 text; {what}", where=f"{path.name}:{bad}", fix=fix)


def _around(line: bytes, encoding: str) -> str:
    """The word of the first byte that is not UTF-8, as an old encoding of one byte a character reads it."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        begin = max(error.start - 20, 0)
        near = line[begin : error.start + 20].decode(encoding, "replace")
        words = re.finditer(r'[^\s,;|"]+', near)
        return next((word[0] for word in words if word.start() <= error.start - begin < word.end()), near)
    return ""
