"""Rows of different lengths in one array, and outputs without a batch's padding."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Ragged:
    """Arrays of different lengths, one below the other in one array, which may be mapped from a file.

    Args:
        values: (positions of all rows, ...).
        ends: (rows,) one more than the last position of each row.
    """

    def __init__(self, values: Array, ends: Array) -> None:
        self.values, self.ends = values, ends

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> Array:
        """The array of a row, (positions of the row, ...)."""
        start = self.ends[row - 1] if row else 0
        part: Array = self.values[start : self.ends[row]]
        return part


def cut(outputs: Array, counted: Array | None) -> list[Array]:
    """A model's outputs for each row of a padded batch, at the positions that count.

    Args:
        outputs: (batch, classes), or (batch, tokens, classes).
        counted: (batch, tokens), 0 at positions to leave out; None for outputs of whole rows.

    Returns:
        The outputs of each row, (classes,) or (counted positions, classes).
    """
    if counted is None:
        return list(outputs)
    return [row[mask] for row, mask in zip(outputs, counted.astype(bool), strict=True)]
