"""Confusions of a model: a shaded table if there are few classes, and the most frequent mistakes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from compress.report.model import HeldOut, Row

MOST = 20
"""The most classes of a table; with more classes there is none."""
PAIRS = 8
"""The most mistakes that are listed."""
DARKEST = 50
"""Percent of colour in a cell that holds all rows of its line: text stays readable on it."""


@dataclass(frozen=True)
class Count:
    """A cell of the table: the rows of one class that the model takes for one class.

    Attributes:
        shade: percent of colour, by the share of the class's rows.
        is_right: whether both classes are the same.
    """

    rows: int
    shade: int
    is_right: bool
    hint: str


@dataclass(frozen=True)
class Mistake:
    """A class that was taken for another, with the number of rows; `before` is the baseline's number."""

    truth: str
    taken_for: str
    rows: int
    of: int
    before: int | None


@dataclass(frozen=True)
class Confusion:
    """A step's predictions against the truth.

    Attributes:
        labels: the heads of the table's columns; empty if there are too many classes.
        lines: for each class its name, its number of rows, and a count for each column.
        mistakes: the most frequent mistakes, the most frequent first.
    """

    step: str
    labels: Sequence[str]
    lines: Sequence[tuple[str, int, Sequence[Count]]]
    mistakes: Sequence[Mistake]


def confusion(row: Row, baseline: Row | None, test: HeldOut) -> Confusion:
    """The confusion of a row's predictions.

    Args:
        baseline: the baseline's row; None if it is the row itself, or was not measured.
    """
    counts = Counter(zip(test.truth, row.predictions, strict=True))
    before = Counter(zip(test.truth, baseline.predictions, strict=True)) if baseline else None
    sizes = Counter(test.truth)
    classes = sorted({number for pair in counts for number in pair})
    mistakes = [
        Mistake(
            test.labels[truth],
            test.labels[prediction],
            rows,
            sizes[truth],
            before[truth, prediction] if before else None,
        )
        for (truth, prediction), rows in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if truth != prediction
    ]
    if len(classes) > MOST:
        return Confusion(row.step, (), (), mistakes[:PAIRS])
    lines = []
    for truth in classes:
        cells = [
            _count(counts[truth, prediction], sizes[truth], truth, prediction, test.labels) for prediction in classes
        ]
        lines.append((test.labels[truth], sizes[truth], cells))
    return Confusion(row.step, [test.labels[number] for number in classes], lines, mistakes[:PAIRS])


def _count(rows: int, of: int, truth: int, prediction: int, labels: Sequence[str]) -> Count:
    share = rows / of if of else 0.0
    shade = round(DARKEST * share**0.5) if rows else 0  # a few rows of many still show
    return Count(
        rows,
        shade,
        truth == prediction,
        f"{labels[truth]} taken for {labels[prediction]}: {rows} of {of} ({share:.1%})",
    )
