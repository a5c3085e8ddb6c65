"""Splits by seed, and the check that no test row stands in train."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

Row = TypeVar("Row")


def split(rows: Sequence[Row], fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Part `rows` at random into (kept, held out), both in their old order.

    Args:
        fraction: share held out, between 0 and 1; at least one row stays on each side where there are two.
    """
    count = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
    held = set(np.random.default_rng(seed).permutation(len(rows))[:count].tolist())
    kept_rows = [row for index, row in enumerate(rows) if index not in held]
    return kept_rows, [rows[index] for index in sorted(held)]


def sample(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """`count` rows at random, in their old order; all of them if there are fewer."""
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [rows[index] for index in sorted(chosen.tolist())]


def overlap(test: Sequence[Hashable], train: Sequence[Hashable]) -> list[int]:
    """Indices of the test rows that also stand in train."""
    seen = set(train)
    return [index for index, row in enumerate(test) if row in seen]
