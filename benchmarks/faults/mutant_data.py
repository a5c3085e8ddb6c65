"""Files of rows with something changed: cut off, in another encoding, without a column, with odd cells."""

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Literal

from hypothesis import strategies as st

from benchmarks.faults.mutant_bytes import Draw, flip_bit, place_in, truncate
from benchmarks.faults.mutant_recipes import Mutant
from benchmarks.faults.small_run import make_rows

ENDINGS = (".csv", ".tsv", ".tab", ".jsonl", ".parquet")
PARTS = ("train", "test", "validation")
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
CELLS = (
    "",
    " ",
    "\t",
    '"',
    '""',
    '"a',
    "a,b",
    "a\nb",
    "\0",
    "\ufeff",
    "\u2028",
    "\x1c",
    "é",
    "nan",
    "NULL",
    "=1+1",
    "-1",
    "1e999",
)
VALUES: tuple[Any, ...] = (
    None,
    1,
    -1.5,
    True,
    [],
    ["a"],
    {},
    {"a": {"b": 1}},
    "\ud800",
    float("nan"),
    float("inf"),
    10**400,
    "",
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252", "shift-jis", "cp500")
HEADERS = ("", "Text", "text ", " text", '"text"', "label", "text\0", "\ufefftext", "текст")
Rows = list[list[str]]


@st.composite
def data_mutants(draw: Draw, rows: int = 48) -> Mutant:
    """A file in one of the formats, with one to three changes of its cells or of its bytes."""
    ending, part = draw(st.sampled_from(ENDINGS)), draw(st.sampled_from(PARTS))
    table: Rows = [["text", "label"], *map(list, make_rows(rows, seed=draw(st.integers(3, 5))))]
    table[1][0] = 'müßig, "good"; it\'s 3,5 🙂'
    changes = []
    kind = draw(st.sampled_from(("cells", "bytes", "bytes", "both")))
    if kind != "bytes":
        for _ in range(draw(st.integers(1, 2))):
            changes.append(draw(st.sampled_from(CELL_CHANGES))(draw, table))
    content = write(table, ending, draw(st.booleans()))
    if kind != "cells":
        for _ in range(draw(st.integers(1, 2))):
            changes_here = BINARY_CHANGES if ending == ".parquet" else BYTE_CHANGES
            content, told = draw(st.sampled_from(changes_here))(draw, content)
            changes.append(told)
    if ending == ".jsonl" and draw(st.booleans()):
        content, told = _json_value(draw, content)
        changes.append(told)
    if draw(st.integers(0, 12)) == 0:
        ending = draw(st.sampled_from((*ENDINGS, ".CSV", ".txt", ".json", "")))
        changes.append(f"named {ending}")
    return Mutant("rows", tuple(changes), content, ending, part)


def write(table: Rows, ending: str, quote: bool) -> bytes:
    """The rows in the format of an ending; the first row holds the columns' names.

    Args:
        quote: every cell, where the format has quotes.
    """
    if ending == ".parquet":
        return _parquet(table)
    if ending == ".jsonl":
        lines = [json.dumps(dict(zip(table[0], row, strict=False)), ensure_ascii=quote) for row in table[1:]]
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    text = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=DELIMITERS[ending], quoting=quoting, lineterminator="\n")
    writer.writerows(table[:1])
    if ending == ".tab":
        writer.writerows([["string"] * len(table[0]), [""] * len(table[0])])
    writer.writerows(table[1:])
    return text.getvalue().encode("utf-8", "surrogatepass")


def _parquet(table: Rows) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    width = len(table[0])
    columns = [[row[index] if index < len(row) else None for row in table[1:]] for index in range(width)]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], table[0]), out)
    return out.getvalue()


def _row(draw: Draw, table: Rows) -> list[str]:
    return table[draw(st.integers(1, len(table) - 1))] if len(table) > 1 else table[0]


def _cell(draw: Draw, table: Rows) -> str:
    row, cell = _row(draw, table), draw(st.sampled_from(CELLS))
    row[draw(st.integers(0, len(row) - 1))] = cell
    return f"cell {cell!r}"


def _giant(draw: Draw, table: Rows) -> str:
    row, length = _row(draw, table), draw(st.sampled_from((200_000, 3_000_000)))
    row[0] = "good " * (length // 5)
    return f"a cell of {length} letters"


def _header(draw: Draw, table: Rows) -> str:
    name = draw(st.sampled_from(HEADERS))
    table[0][draw(st.integers(0, len(table[0]) - 1))] = name
    return f"header {name!r}"


def _lose_column(draw: Draw, table: Rows) -> str:
    index = draw(st.integers(0, 1))
    for row in table:
        del row[index : index + 1]
        row[:] = row or [""]
    return f"no column {index}"


def _swap_columns(_: Draw, table: Rows) -> str:
    for row in table:
        row.reverse()
    return "columns the other way round"


def _add_column(_: Draw, table: Rows) -> str:
    for number, row in enumerate(table):
        row.append("more" if number == 0 else str(number))
    return "one column more"


def _long_row(draw: Draw, table: Rows) -> str:
    row = _row(draw, table)
    if draw(st.booleans()):
        row.append("more")
        return "a long row"
    del row[-1:]
    return "a short row"


def _one_label(_: Draw, table: Rows) -> str:
    for row in table[1:]:
        row[-1:] = ["good"]
    return "one label"


def _new_label(draw: Draw, table: Rows) -> str:
    row, label = _row(draw, table), draw(st.sampled_from(("Good", " good", "better", "good\0", "9" * 5000)))
    row[-1:] = [label]
    return f"label {label[:10]!r}"


def _few(draw: Draw, table: Rows) -> str:
    left = draw(st.integers(0, 4))
    del table[1 + left :]
    return f"{left} rows"


CELL_CHANGES: Sequence[Callable[[Draw, Rows], str]] = (
    *(_cell, _cell, _giant, _header, _header, _lose_column, _swap_columns, _add_column),
    *(_long_row, _one_label, _new_label, _few),
)


def _insert(draw: Draw, content: bytes) -> tuple[bytes, str]:
    piece = draw(
        st.sampled_from(
            (b"\0", b"\0" * 1000, b'"', b'""', b"\r", b"\n", b"\r\n\n", b"\xff", b"\xef\xbb\xbf", b",", b"\t", b"\x1a")
        )
    )
    position = place_in(draw, content)
    return content[:position] + piece + content[position:], f"insert {piece[:4]!r}"


def _cut_out(draw: Draw, content: bytes) -> tuple[bytes, str]:
    begin, length = place_in(draw, content), draw(st.integers(1, 60))
    return content[:begin] + content[begin + length :], "cut out"


def _encode(draw: Draw, content: bytes) -> tuple[bytes, str]:
    encoding = draw(st.sampled_from(ENCODINGS))
    return content.decode("utf-8", "replace").encode(encoding, "replace"), encoding


def _line_ends(draw: Draw, content: bytes) -> tuple[bytes, str]:
    ends = draw(st.sampled_from(((b"\r\n",), (b"\r",), (b"\r", b"\n", b"\r\n"), (b"\n\n",), (b"\n\r",))))
    order = random.Random(0)
    return b"".join(line + order.choice(ends) for line in content.split(b"\n")), f"line ends {ends}"


def _odd(draw: Draw, content: bytes) -> tuple[bytes, str]:
    first = content.split(b"\n")[0]
    odd = {
        "empty": b"",
        "blank lines": b"\n\n\n",
        "first line alone": first,
        "first line twice": first + b"\n" + content,
        "no first line": content[len(first) + 1 :],
        "semicolons": content.replace(b",", b";").replace(b"\t", b";"),
        "no end of the last line": content.rstrip(),
        "all twice": content + content,
        "no text at all": bytes(range(256)) * 20,
        "brackets": b"[" * 100_000,
        "html": b"<!doctype html><title>404</title>",
    }
    name = draw(st.sampled_from(sorted(odd)))
    return odd[name], name


BYTE_CHANGES = (truncate, truncate, flip_bit, flip_bit, _insert, _insert, _cut_out, _encode, _line_ends, _odd)
BINARY_CHANGES = (truncate, flip_bit, flip_bit, _cut_out, _odd)


def _json_value(draw: Draw, content: bytes) -> tuple[bytes, str]:
    """One line's text or label is another kind of value, or its key stands twice."""
    lines = content.split(b"\n")
    number = draw(st.integers(0, len(lines) - 1))
    key, value = draw(st.sampled_from(("text", "label", "more"))), draw(st.sampled_from(VALUES))
    written = json.dumps(value)
    if draw(st.booleans()) and lines[number].startswith(b"{"):
        lines[number] = lines[number].rstrip()[:-1] + f', "{key}": {written}'.encode() + b"}"
        return b"\n".join(lines), f"a second '{key}': {written[:12]}"
    lines[number] = json.dumps({"text": "a good film", "label": "good", key: value}).encode()
    return b"\n".join(lines), f"{key}: {written[:12]}"
