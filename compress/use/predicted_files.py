"""The files of predictions: lines of JSON, or a table separated by commas or tabs."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeAlias

from compress.errors import InputError, did_you_mean

LABEL, PROBABILITY, TOP = "predicted_label", "probability", "top"
"""Names of the columns that are added to a row."""
ENDINGS = (".jsonl", ".csv", ".tsv")
"""Endings of files that predictions can be written to."""

Ranked: TypeAlias = Sequence[tuple[str, float]]
"""Labels with probabilities, the most probable first; empty for a row without a text."""


class RowWriter(Protocol):
    """A function that writes a row of a table with its prediction."""

    def __call__(self, row: Sequence[str], ranked: Ranked) -> None:
        """Write a row."""
        ...


def ending_of(path: Path) -> str:
    """The ending that decides how predictions are written to a file.

    Raises:
        InputError: the file has another ending than those in `ENDINGS`.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(
            f"cannot write '{path.name}': unknown ending '{path.suffix}'",
            where="--out",
            fix=did_you_mean(path.suffix, ENDINGS, f"accepted: {', '.join(ENDINGS)}"),
        )
    return ending


def check_out(out: Path, file: str, *, force: bool) -> None:
    """Refuse an output file before anything is predicted, so that no predictions are lost.

    Args:
        file: the file that is read.
        force: whether an existing file is overwritten.

    Raises:
        InputError: says what is wrong.
    """
    ending_of(out)
    if out.is_dir():
        raise InputError(f"'{out}' is a folder", where="--out", fix=f"name a file in it: {out / 'predictions.jsonl'}")
    if not out.parent.is_dir():
        raise InputError(f"the folder '{out.parent}' is not there", where="--out", fix=f"mkdir -p {out.parent}")
    if out.exists() and Path(file).exists() and out.samefile(file):
        raise InputError(f"'{out}' is the file that is read", where="--out", fix="name another file")
    if out.exists() and not force:
        raise InputError(f"'{out}' is there already", where="--out", fix="name another file, or add --force")


def row_writer(file: TextIO, ending: str, columns: Sequence[str], top: int) -> RowWriter:
    """A function that writes rows into an open file; the header of a table is written now.

    Args:
        ending: one of `ENDINGS`.
        columns: the rows' columns, which are all kept; without columns, only predictions are written.
        top: number of labels for each row.
    """
    if ending == ".jsonl":
        encode = json.JSONEncoder(ensure_ascii=False).encode

        def write_object(row: Sequence[str], ranked: Ranked) -> None:
            file.write(f"{encode(as_object(columns, row, ranked, top))}\n")

        return write_object
    table = csv.writer(file, delimiter="\t" if ending == ".tsv" else ",", lineterminator="\n")
    table.writerow([*columns, *added_columns(top)])
    width, blank = len(columns), [""] * (2 * top)

    def write_cells(row: Sequence[str], ranked: Ranked) -> None:
        table.writerow([*row[:width], *([cell for pair in ranked for cell in pair] or blank)])

    return write_cells


def as_object(columns: Sequence[str], row: Sequence[str], ranked: Ranked, top: int) -> dict[str, Any]:
    """A row with its prediction as a JSON object: the best label and, if `top` > 1, a list of the best labels."""
    label, probability = ranked[0] if ranked else (None, None)
    content: dict[str, Any] = {**dict(zip(columns, row, strict=False)), LABEL: label, PROBABILITY: probability}
    return {**content, TOP: [{"label": name, "probability": value} for name, value in ranked]} if top > 1 else content


def added_columns(top: int) -> list[str]:
    """Names of the columns that are added to a table: `predicted_label` and `probability`, then both with `_2`, …."""
    ends = ["", *(f"_{place}" for place in range(2, top + 1))]
    return [f"{name}{end}" for end in ends for name in (LABEL, PROBABILITY)]


def check_columns(columns: Sequence[str], ending: str, top: int, where: str) -> None:
    """Refuse a table whose columns conflict with each other or with the added ones.

    Raises:
        InputError: two columns would have the same name in JSON, or one has the name of an added column.
    """
    added = [LABEL, PROBABILITY, *([TOP] if top > 1 else [])] if ending == ".jsonl" else added_columns(top)
    names = [*columns, *added]
    twice = next((name for name in names if names.count(name) > 1 and (ending == ".jsonl" or name in added)), None)
    if twice is not None:
        raise InputError(
            f"the column '{twice}' would stand there twice",
            where=where,
            fix="rename it in the file, or add --no-keep to write the predictions alone",
        )
