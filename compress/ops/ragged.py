"""Rows of unlike length in one array, and outputs cut out of a batch's padding."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Ragged:
    """Arrays of unlike length, one below the other in one array, which may be mapped from a file.

    Args:
        values: (positions of all rows, ...).
        ends: (rows,) the position behind the last one of each row.
    """

    def __init__(self, values: Array, ends: Array) -> None:
        self.values, self.ends = values, ends

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> Array:
        """(positions of the row, ...)."""
        start = self.ends[row - 1] if row else 0
        part: Array = self.values[start : self.ends[row]]
        return part


def cut(outputs: Array, counted: Array | None) -> list[Array]:
    """What a model gives for each row of a padded batch, at the positions that count.

    Args:
        outputs: (batch, classes), or (batch, tokens, classes).
        counted: (batch, tokens), 0 at positions to leave out; None for outputs of whole rows.

    Returns:
        Of each row (classes,), or (positions that count, classes).
    """
    if counted is None:
        return list(outputs)
    return [row[mask] for row, mask in zip(outputs, counted.astype(bool), strict=True)]
