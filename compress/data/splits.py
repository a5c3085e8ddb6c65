"""Random splits by seed, and rows that two parts share."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

Row = TypeVar("Row")


def split(
    rows: Sequence[Row], fraction: float, seed: int, kinds: Sequence[Hashable] | None = None, *, fold: int = 0
) -> tuple[list[Row], list[Row]]:
    """Split `rows` at random into (kept, held out), both in their old order.

    Args:
        fraction: share held out, between 0 and 1; of two or more rows, each side gets at least one.
        kinds: the class of each row. One row of each class is never held out, unless each class has only one row.
        fold: which of the shares is held out, counted from 0; two of them have no row in common. The last may be
            smaller, and past it nothing is held out.
    """
    count = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    if kinds is not None:
        order = _of_several(order, kinds) or order
    held = set(order[fold * count : (fold + 1) * count])
    kept_rows = [row for index, row in enumerate(rows) if index not in held]
    return kept_rows, [rows[index] for index in sorted(held)]


def _of_several(order: Sequence[int], kinds: Sequence[Hashable]) -> list[int]:
    """The rows in `order` without the last one of each class."""
    remaining = Counter(kinds)
    held_out: list[int] = []
    for index in order:
        if remaining[kinds[index]] > 1:
            remaining[kinds[index]] -= 1
            held_out.append(index)
    return held_out


def sample(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """A random sample of `count` rows, in their old order; all rows if there are fewer."""
    indices = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [rows[index] for index in sorted(indices.tolist())]


def overlap(test: Sequence[Hashable], train: Sequence[Hashable]) -> list[int]:
    """Indices of the test rows that are also training rows."""
    train_rows = set(train)
    return [index for index, row in enumerate(test) if row in train_rows]


def conflicting(rows: Sequence[tuple[Hashable, Hashable]]) -> int:
    """Number of (content, label) rows whose content also has another label."""
    labels: dict[Hashable, set[Hashable]] = {}
    for content, label in rows:
        labels.setdefault(content, set()).add(label)
    return sum(len(labels[content]) > 1 for content, _ in rows)
