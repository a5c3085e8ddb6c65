"""Zero points that lower the error of rounded weights, without any data."""

import numpy as np

from compress.ops.blockwise import Array, Blocks, codes_of, grid, in_blocks

NORM = 0.7
"""p of the error's l_p norm; below 1, so that few large errors count less than many small ones."""
BETA, GROWTH = 10.0, 1.01
ROUNDS = 20
TINY = 1e-8


def half_quadratic(weights: Array, bits: int, block_size: int) -> Blocks:
    """Half-quadratic quantization (Badri and Shaji 2023, mobiusml.github.io/hqq_blog), section "half-quadratic solver".

    Alternates between the error that the l_p norm would leave (a shrinkage of it) and the zero points that are best
    for the rest. These are any numbers, not codes. A block keeps what had the least error in that norm, the start
    included, which is rounding to nearest. What fills the last block up takes no part.

    Args:
        weights: (outputs, inputs)
    """
    blocks = in_blocks(weights, block_size)
    there = in_blocks(np.ones((1, weights.shape[1])), block_size)  # (1, blocks, block size), 0 for what fills up
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
