"""The kind of a file's content, whatever its name says: text, packed or not, or something else."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from compress.data.tables import MAX_RATIO
from compress.errors import InputError

GZIP = b"\x1f\x8b"
_WORKBOOK_HEADS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
SMALL_BYTES = 2**26
"""Unpacked size that any gzip file may have; beyond it, at most `MAX_RATIO` times the file's own size."""
PEEKED = 2**16
"""Bytes at a file's start that are looked at to find its kind."""
_UNPACK = "unpack it, or pack it with gzip: .csv.gz"
_KINDS = (
    (0, rb"PAR1", "a parquet file", "rename it to .parquet"),
    (0, rb"ARROW1|FEA1", "an Arrow (Feather) file", "write it as parquet"),
    (0, rb"SQLite format 3\0", "an SQLite database", "write its table as CSV"),
    (0, rb"\x80[\x02-\x05]", "a pickle", "write it as CSV or parquet where you trust it"),
    (0, rb"\xd0\xcf\x11\xe0", "an old Excel or Word file", "rename it to .xls if it is a workbook"),
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
"""Offset, pattern, the kind of file, and what to do about it."""
_IN_ZIP = (
    (b"xl/workbook", "an Excel file", "rename it to .xlsx"),
    (b"word/document", "a Word file", "write its rows as CSV"),
    (b"opendocument.spreadsheet", "a LibreOffice workbook", "rename it to .ods"),
    (b"opendocument", "an OpenDocument file", "write its rows as CSV"),
    (b"PK", "a zip archive", "unpack it, and name the file in it"),
)


def check_kind(path: Path, where: str | None, *, may_be_workbook: bool) -> None:
    """Refuse a file whose content is clearly not text; gzip and parquet files are left to their readers.

    Args:
        may_be_workbook: whether the name says workbook: then archives and old Excel files are left to that reader.

    Raises:
        InputError: says what the file is, and what to do.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(PEEKED)
        if may_be_workbook and head.startswith(_WORKBOOK_HEADS):
            return
        if head.startswith(b"PK\x03\x04"):
            file.seek(max(0, path.stat().st_size - PEEKED))
            tail = file.read(PEEKED)
            kind_and_fix = next((what, fix) for mark, what, fix in _IN_ZIP if mark in head or mark in tail)
            raise _is_no_text(path.name, *kind_and_fix, where)
    if not head.startswith((GZIP, b"PAR1")):
        check_head(head, path.name, where)


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """A file's content, unpacked if it is packed with gzip.

    Raises:
        InputError: the packed data is damaged, or unpacks to more than is reasonable.
        OSError: the file cannot be read.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP
        raw.seek(0)
        if packed:
            yield io.BufferedReader(_Unpacked(raw, path), PEEKED)
        else:
            yield raw


class _Unpacked(io.RawIOBase):
    """The content of a gzip file, refused if it is unreasonably large for the file's size."""

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


def check_head(head: bytes, name: str, where: str | None) -> None:
    """Refuse content that begins like a known kind of file that is not text.

    Raises:
        InputError: says what the file is, and what to do.
    """
    for offset, pattern, what, fix in _KINDS:
        if re.compile(pattern).match(head, offset):
            raise _is_no_text(name, what, fix, where)


def _is_no_text(name: str, what: str, fix: str, where: str | None) -> InputError:
    return InputError(f"'{name}' is {what}, no table of rows that is read here", where=where or name, fix=fix)
