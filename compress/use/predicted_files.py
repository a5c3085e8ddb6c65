"""What predictions are written as: lines of JSON, or a table separated by commas or tabs."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeAlias

from compress.errors import InputError, did_you_mean

LABEL, PROBABILITY, TOP = "predicted_label", "probability", "top"
"""Names of what is added to a row's columns."""
ENDINGS = (".jsonl", ".csv", ".tsv")
"""Of files that predictions are written to."""

Ranked: TypeAlias = Sequence[tuple[str, float]]
"""Labels with their probabilities, the most probable one first; empty for a row without a text."""


class RowWriter(Protocol):
    """Writes a row of a table with what was predicted for it."""

    def __call__(self, row: Sequence[str], ranked: Ranked) -> None:
        """One row."""
        ...


def ending_of(path: Path) -> str:
    """How predictions are written, by a file's name.

    Raises:
        InputError: none of the ways that there are.
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
    """Refuse a place for predictions before anything is predicted, so that nothing is lost for want of one.

    Args:
        file: that is read.
        force: write over what is there.

    Raises:
        InputError: with what is wrong.
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
    """Writes rows into an open file; of a table, also the header.

    Args:
        ending: one of `ENDINGS`.
        columns: of the rows, all of which are kept; without any, the predictions alone are written.
        top: labels of each row.
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
    """A row with what was predicted, for JSON: the best label, and of several the list of the best."""
    label, probability = ranked[0] if ranked else (None, None)
    content: dict[str, Any] = {**dict(zip(columns, row, strict=False)), LABEL: label, PROBABILITY: probability}
    return {**content, TOP: [{"label": name, "probability": value} for name, value in ranked]} if top > 1 else content


def added_columns(top: int) -> list[str]:
    """The columns that a table gets: `predicted_label` and `probability`, then both with `_2` and so on."""
    ends = ["", *(f"_{place}" for place in range(2, top + 1))]
    return [f"{name}{end}" for end in ends for name in (LABEL, PROBABILITY)]


def check_columns(columns: Sequence[str], ending: str, top: int, where: str) -> None:
    """Refuse a table whose columns cannot stand beside those that are added.

    Raises:
        InputError: two of its columns have one name in JSON, or one has the name of one that is added.
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
