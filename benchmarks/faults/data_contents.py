"""What files hold that are named as tables: archives, databases, pages; and tables of other programs."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq


def parquet(texts: Sequence[Any], labels: Sequence[Any], *, kind: str | None = None, nested: bool = False) -> bytes:
    """A parquet file of texts and labels.

    Args:
        kind: of both columns: a type's name, or `dictionary`; left out, the values' own.
        nested: with a column of lists beside them.
    """

    def column(values: Sequence[Any]) -> Any:
        if kind == "dictionary":
            return pa.array(values).dictionary_encode()
        if kind == "binary":
            return pa.array([value.encode() for value in values], pa.binary())
        own = pa.array([float(v) if isinstance(v, int) and None in values else v for v in values])
        return own.cast(getattr(pa, kind)()) if kind else own

    columns = {"text": column(texts), "label": column(labels)}
    if nested:
        columns["tokens"] = pa.array([[text] for text in texts])
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def feather(texts: Sequence[str]) -> bytes:
    """An Arrow file."""
    out = io.BytesIO()
    pyarrow.feather.write_feather(pa.table({"text": texts}), out)
    return out.getvalue()


def zipped(*names: str) -> bytes:
    """A zip archive with members of these names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, "text,label\na,b\n")
    return out.getvalue()


def bars(rows: Sequence[tuple[str, str]]) -> str:
    """The rows separated by `|`."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter="|").writerows([("text", "label"), *rows])
    return out.getvalue()


def _tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = 10
        archive.addfile(member, io.BytesIO(b"text,label"))
    return out.getvalue()


def _database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table rows (text, label)")
    return connection.serialize()


Packing = tuple[str, str, Callable[[str], bytes]]
PACKINGS: Sequence[Packing] = (
    ("gzip", "csv.gz", lambda text: gzip.compress(text.encode())),
    ("gzip without its name", "csv", lambda text: gzip.compress(text.encode())),
    ("two gzip members", "csv.gz", lambda text: gzip.compress(text[:99].encode()) + gzip.compress(text[99:].encode())),
    ("UTF-16 of Windows", "csv", lambda text: text.encode("utf-16")),
    ("UTF-16, the other way round", "csv", lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be")),
    ("UTF-32", "csv", lambda text: text.encode("utf-32")),
    ("packed UTF-16", "csv.gz", lambda text: gzip.compress(text.encode("utf-16"))),
)
"""Name, ending, and how a CSV's text is written."""

CONTENTS: Sequence[tuple[str, str, bytes, tuple[str, ...]]] = (
    ("Word", "a.docx", zipped("[Content_Types].xml", "word/document.xml"), ("is a Word file", "as CSV")),
    ("no old Excel", "a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), ("is not a whole workbook", "as CSV")),
    ("zip", "a.csv.zip", zipped("a.csv"), ("is a zip archive", "unpack it")),
    ("tar", "a.csv.gz", _tarred(), ("is a tar archive", "unpack it")),
    ("bzip2", "a.csv", bz2.compress(b"text,label\na,b\n"), ("is a packed file", "unpack it")),
    ("xz", "a.csv.xz", lzma.compress(b"text,label\na,b\n"), ("is a packed file", "unpack it")),
    ("a page", "a.csv", b"<!DOCTYPE html><html><title>404</title>", ("is an HTML page", "download the file itself")),
    (
        "Git LFS",
        "a.parquet",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        ("Git LFS", "git lfs pull"),
    ),
    ("pickle", "a.csv", pickle.dumps({"text": ["a"], "label": ["b"]}), ("is a pickle", "where you trust it")),
    ("SQLite", "a.csv", _database(), ("is an SQLite database", "write its table as CSV")),
    ("packed twice", "a.csv.gz", gzip.compress(gzip.compress(b"text,label\n")), ("packed twice", "unpack it once")),
    ("JSON named csv", "a.csv", b'{"text": "a", "label": "b"}\n', ("holds JSON", "rename it to .jsonl")),
    ("a bomb", "a.csv.gz", gzip.compress(b"text,label\n" + b"a" * (70 * 2**20)), ("more than 200 times",)),
)
"""Name, file, content, and what the error must say."""
