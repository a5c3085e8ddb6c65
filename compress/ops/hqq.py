"""HQQ: zero points that lower the error of rounded weights, found without data."""

import numpy as np

from compress.ops.blockwise import Array, Blocks, codes_of, grid, in_blocks

NORM = 0.7
"""The p of the error's l_p norm; below 1, so that a few large errors count less than many small ones."""
BETA, GROWTH = 10.0, 1.01
ROUNDS = 20
TINY = 1e-8


def half_quadratic(weights: Array, bits: int, block_size: int) -> Blocks:
    """A matrix rounded by half-quadratic quantization (Badri and Shaji 2023, mobiusml.github.io/hqq_blog).

    The "half-quadratic solver" alternates between shrinking the error by the l_p norm and finding the best zero points
    for the rest, which are any numbers, not codes. A block keeps the zero point of the least error in that norm; the
    first is that of rounding to nearest. The padding of the last block is ignored.

    Args:
        weights: (outputs, inputs)
    """
    blocks = in_blocks(weights, block_size)
    there = in_blocks(np.ones((1, weights.shape[1])), block_size)  # (1, blocks, block size), 0 at padding
    scales, start = grid(blocks, bits, symmetric=False)
    zeros, beta = start.astype(np.float32), BETA
    wide = scales[..., None]
    safe = np.where(wide == 0, 1, wide)
    best, least = zeros, np.full(zeros.shape, np.inf)
    for _ in range(ROUNDS):
        codes = codes_of(blocks, wide, zeros[..., None], bits).astype(np.float32)
        error = (blocks - (codes - zeros[..., None]) * wide) * there
        norm = (np.abs(error) ** NORM).sum(-1)
        best, least = np.where(norm < least, zeros, best), np.minimum(norm, least)
        magnitude = np.abs(error)
        shrunk = np.sign(error) * np.maximum(magnitude - np.maximum(magnitude, TINY) ** (NORM - 1) / beta, 0)
        zeros = ((codes - (blocks - shrunk) / safe) * there).sum(-1) / there.sum(-1)
        beta *= GROWTH
    return Blocks(codes_of(blocks, wide, best[..., None], bits), scales, best)
