"""Matrices in 8 bits: symmetric codes with a scale for each output."""

from typing import NamedTuple

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.floating]]

LARGEST, LARGEST_REDUCED = 127, 64
"""Magnitude of a code: of 8 bits, and of 7, whose products two by two fit into 16 bits."""


class Rounded(NamedTuple):
    """A matrix in 8 bits: weight = code * scale.

    Attributes:
        codes: (inputs, outputs) of int8.
        scales: (outputs,) of float32, above 0; () where all weights share one.
    """

    codes: np.ndarray[tuple[int, ...], np.dtype[np.int8]]
    scales: Array

    def weights(self) -> Array:
        """What the codes stand for: (inputs, outputs)."""
        codes: Array = self.codes.astype(np.float32) * self.scales
        return codes


def largest_code(*, reduce_range: bool) -> int:
    """Magnitude of the largest code that is used."""
    return LARGEST_REDUCED if reduce_range else LARGEST


def round_columns(weights: Array, largest: int, *, per_channel: bool = True) -> Rounded:
    """Each weight to the nearest code (Jacob et al. 2018, arXiv:1712.05877, section 2.1; symmetric).

    Args:
        weights: (inputs, outputs)
        largest: magnitude of the largest code.
        per_channel: a scale for each output; otherwise all outputs have the same.
    """
    ends = np.abs(weights).max(0 if per_channel else None) / largest
    scales = np.broadcast_to(np.where(ends == 0, 1, ends), weights.shape[1:]).astype(np.float32)
    return Rounded(np.rint(weights / scales).astype(np.int8), scales)


def round_table(weights: Array) -> Rounded:
    """Each weight of a table (rows, channels) to the nearest code, with one scale for all."""
    scale = np.array(np.abs(weights).max() / LARGEST or 1.0, dtype=np.float32)
    return Rounded(np.rint(weights / scale).astype(np.int8), scale)
