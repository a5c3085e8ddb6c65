"""Splits by seed, and the check that no test row stands in train."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

Row = TypeVar("Row")


def split(
    rows: Sequence[Row], fraction: float, seed: int, kinds: Sequence[Hashable] | None = None
) -> tuple[list[Row], list[Row]]:
    """Part `rows` at random into (kept, held out), both in their old order.

    Args:
        fraction: share held out, between 0 and 1; at least one row stays on each side where there are two.
        kinds: of each row, its class; the last row of one is not held out, unless there are none but such rows.
    """
    count = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    held = set(order[:count]) if kinds is None else _of_several(order, kinds, count) or set(order[:count])
    kept_rows = [row for index, row in enumerate(rows) if index not in held]
    return kept_rows, [rows[index] for index in sorted(held)]


def _of_several(order: Sequence[int], kinds: Sequence[Hashable], count: int) -> set[int]:
    """The first `count` rows in `order` that leave another one of their kind."""
    left = Counter(kinds)
    chosen: set[int] = set()
    for index in order:
        if len(chosen) < count and left[kinds[index]] > 1:
            left[kinds[index]] -= 1
            chosen.add(index)
    return chosen


def sample(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """`count` rows at random, in their old order; all of them if there are fewer."""
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [rows[index] for index in sorted(chosen.tolist())]


def overlap(test: Sequence[Hashable], train: Sequence[Hashable]) -> list[int]:
    """Indices of the test rows that also stand in train."""
    seen = set(train)
    return [index for index, row in enumerate(test) if row in seen]


def conflicting(rows: Sequence[tuple[Hashable, Hashable]]) -> int:
    """How many rows, of (content, label), stand there with another label too."""
    labels: dict[Hashable, set[Hashable]] = {}
    for content, label in rows:
        labels.setdefault(content, set()).add(label)
    return sum(len(labels[content]) > 1 for content, _ in rows)
