"""Matrices in 8 bits: symmetric codes with a scale for each output."""

from typing import NamedTuple

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.floating]]

LARGEST, LARGEST_REDUCED = 127, 64
"""Largest magnitude of a code with 8 bits, and with 7 bits, so that sums of two products fit into 16 bits."""


class Rounded(NamedTuple):
    """A matrix in 8 bits: weight = code * scale.

    Attributes:
        codes: (inputs, outputs) of int8.
        scales: (outputs,) of float32, above 0; () if all weights share one scale.
    """

    codes: np.ndarray[tuple[int, ...], np.dtype[np.int8]]
    scales: Array

    def weights(self) -> Array:
        """The weights as floats, (inputs, outputs)."""
        codes: Array = self.codes.astype(np.float32) * self.scales
        return codes


def largest_code(*, reduce_range: bool) -> int:
    """The largest magnitude of a code, with or without a reduced range."""
    return LARGEST_REDUCED if reduce_range else LARGEST


def round_columns(weights: Array, largest: int, *, per_channel: bool = True) -> Rounded:
    """A matrix with each weight rounded to the nearest symmetric code.

    Jacob et al. 2018 (arXiv:1712.05877), section 2.1.

    Args:
        weights: (inputs, outputs)
        largest: magnitude of the largest code.
        per_channel: a scale for each output; otherwise all outputs have the same.
    """
    ends = np.abs(weights).max(0 if per_channel else None) / largest
    scales = np.broadcast_to(np.where(ends == 0, 1, ends), weights.shape[1:]).astype(np.float32)
    return Rounded(np.rint(weights / scales).astype(np.int8), scales)


def round_table(weights: Array) -> Rounded:
    """A table (rows, channels) with each weight rounded to the nearest code, and one scale for all."""
    scale = np.array(np.abs(weights).max() / LARGEST or 1.0, dtype=np.float32)
    return Rounded(np.rint(weights / scale).astype(np.int8), scale)
