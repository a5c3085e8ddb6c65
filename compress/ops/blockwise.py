"""Weights in few bits, with a scale and a zero point for each block of weights."""

from typing import NamedTuple

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.floating]]
Codes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

SHARES = np.linspace(1, 0.7, 16, dtype=np.float32)
"""Shares of a block's range that are tried as its range."""

SIZES = (16, 32, 64, 128, 256)
"""Sizes of blocks that ONNX Runtime's operators accept."""
SCALE_BITS = 32


class Blocks(NamedTuple):
    """A matrix in few bits: weight = (code - zero point) * scale.

    Attributes:
        codes: (outputs, blocks, block size), each from 0 to 2 ** bits - 1.
        scales: (outputs, blocks).
        zeros: (outputs, blocks), each from 0 to 2 ** bits - 1: codes, or any numbers.
    """

    codes: Codes
    scales: Array
    zeros: Codes | Array

    def weights(self, inputs: int) -> Array:
        """The weights as floats, (outputs, inputs)."""
        codes, zeros = self.codes.astype(np.float32), self.zeros.astype(np.float32)
        whole = (codes - zeros[..., None]) * self.scales[..., None]
        matrix: Array = whole.reshape(len(whole), -1)[:, :inputs]
        return matrix


def fitting_size(inputs: int, bits: int, at_most: int, zero_bits: int) -> int:
    """The block size with which a matrix takes the fewest bytes; of equal ones the larger.

    The last block of a row is stored whole. If a size does not divide the inputs, smaller blocks may waste less than
    their additional scales cost, and they are rounded more finely too.

    Args:
        inputs: number of inputs of the matrix, which is the length of a row.
        at_most: the largest size, one of `SIZES`.
        zero_bits: bits of a zero point; 0 if blocks have none.
    """

    def row_bytes(size: int) -> int:
        count = -(-inputs // size)
        return count * (size * bits + SCALE_BITS) // 8 + -(-count * zero_bits // 8)

    return min((size for size in reversed(SIZES) if size <= at_most), key=row_bytes)


def in_blocks(weights: Array, block_size: int) -> Array:
    """A matrix (outputs, inputs) in blocks, (outputs, blocks, block size), padded with zeros."""
    outputs, inputs = weights.shape
    padded = np.pad(weights.astype(np.float32), ((0, 0), (0, -inputs % block_size)))
    return padded.reshape(outputs, -1, block_size)


def grid(blocks: Array, bits: int, *, symmetric: bool) -> tuple[Array, Codes]:
    """The scale and the zero point of each block, from its least and largest weight.

    With `symmetric`, the zero point is the middle code, and the weight of the largest magnitude gets code 0, whatever
    its sign, so that no code is unused (the scale is negative if that weight is positive).

    Args:
        blocks: (..., block size)

    Returns:
        scales and zero points, each (...).
    """
    levels = 2**bits
    if symmetric:
        largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
        scales = largest / -(levels / 2)
        return scales, np.full(scales.shape, levels // 2, dtype=np.uint8)
    low, high = np.minimum(blocks.min(-1), 0), np.maximum(blocks.max(-1), 0)
    scales = (high - low) / (levels - 1)
    safe = np.where(scales == 0, 1, scales)
    return scales, np.clip(np.rint(-low / safe), 0, levels - 1).astype(np.uint8)


def least_error_grid(
    blocks: Array, bits: int, *, symmetric: bool, importance: Array | None = None
) -> tuple[Array, Codes]:
    """The scale and the zero point of each block as in `grid`, from the range with the least squared error of rounding.

    Args:
        blocks: (outputs, blocks, block size)
        importance: (blocks, block size), weights of the squared errors.

    Returns:
        scales and zero points, each (outputs, blocks).
    """
    scales, zeros = grid(blocks, bits, symmetric=symmetric)
    least = np.full(scales.shape, np.inf)
    for share in SHARES:
        some, points = grid(blocks * share, bits, symmetric=symmetric)
        wide, middle = some[..., None], points[..., None].astype(np.float32)
        squares = ((codes_of(blocks, wide, middle, bits) - middle) * wide - blocks) ** 2
        error = (squares if importance is None else squares * importance).sum(-1)
        better = error < least
        least = np.where(better, error, least)
        scales, zeros = np.where(better, some, scales), np.where(better, points, zeros)
    return scales, zeros


def codes_of(values: Array, scales: Array, zeros: Codes | Array, bits: int) -> Codes:
    """The nearest code of each value; the arguments have one shape, or broadcast to it."""
    safe = np.where(scales == 0, 1, scales)
    return np.clip(np.rint(values / safe + zeros), 0, 2**bits - 1).astype(np.uint8)


def round_to_nearest(weights: Array, bits: int, block_size: int, *, symmetric: bool) -> Blocks:
    """A matrix with each weight rounded to the nearest code.

    ZeroQuant: Yao et al. 2022 (arXiv:2206.01861), section 3.1.

    Args:
        weights: (outputs, inputs)
    """
    blocks = in_blocks(weights, block_size)
    scales, zeros = grid(blocks, bits, symmetric=symmetric)
    return Blocks(codes_of(blocks, scales[..., None], zeros[..., None], bits), scales, zeros)
