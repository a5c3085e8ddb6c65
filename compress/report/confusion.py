"""What a model takes for what: a shaded table of few classes, the most frequent mistakes of many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from compress.report.model import HeldOut, Row

MOST = 20
"""With more classes than these there is no table."""
PAIRS = 8
"""Mistakes that are listed, at the most."""
DARKEST = 50
"""Percent of its colour that a cell of all its line's rows has: text stays readable on it."""


@dataclass(frozen=True)
class Count:
    """A cell: rows of a class, and the class that they were taken for.

    Attributes:
        shade: percent of colour, by its share of the class's rows.
        is_right: on the diagonal.
    """

    rows: int
    shade: int
    is_right: bool
    hint: str


@dataclass(frozen=True)
class Mistake:
    """A class that was taken for another, with the number of rows; `before` is the baseline's."""

    truth: str
    taken_for: str
    rows: int
    of: int
    before: int | None


@dataclass(frozen=True)
class Confusion:
    """A step's predictions against the truth.

    Attributes:
        labels: of the table's columns; empty where there are too many.
        lines: a class, its rows, and a count a column.
        mistakes: the most frequent first.
    """

    step: str
    labels: Sequence[str]
    lines: Sequence[tuple[str, int, Sequence[Count]]]
    mistakes: Sequence[Mistake]


def confusion(row: Row, baseline: Row | None, test: HeldOut) -> Confusion:
    """What became of each class's rows.

    Args:
        baseline: measured on the same rows; None where it is the row itself, or was not measured.
    """
    counts = Counter(zip(test.truth, row.predictions, strict=True))
    before = Counter(zip(test.truth, baseline.predictions, strict=True)) if baseline else None
    sizes = Counter(test.truth)
    seen = sorted({number for pair in counts for number in pair})
    mistakes = [
        Mistake(test.labels[truth], test.labels[said], rows, sizes[truth], before[truth, said] if before else None)
        for (truth, said), rows in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if truth != said
    ]
    if len(seen) > MOST:
        return Confusion(row.step, (), (), mistakes[:PAIRS])
    lines = []
    for truth in seen:
        cells = [_count(counts[truth, said], sizes[truth], truth, said, test.labels) for said in seen]
        lines.append((test.labels[truth], sizes[truth], cells))
    return Confusion(row.step, [test.labels[number] for number in seen], lines, mistakes[:PAIRS])


def _count(rows: int, of: int, truth: int, said: int, labels: Sequence[str]) -> Count:
    share = rows / of if of else 0.0
    shade = round(DARKEST * share**0.5) if rows else 0  # a few rows of many still show
    return Count(rows, shade, truth == said, f"{labels[truth]} taken for {labels[said]}: {rows} of {of} ({share:.1%})")
