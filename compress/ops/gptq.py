"""Rounded weights whose errors make up for each other on the inputs that a matrix gets."""

import numpy as np

from compress.ops.blockwise import Array, Blocks, codes_of, grid, in_blocks

DAMPING = 0.01
"""Of the mean of the moments' diagonal, added to it: no direction counts for nothing."""


def gptq(weights: Array, moments: Array, bits: int, block_size: int, *, symmetric: bool) -> Blocks:
    """Frantar et al. 2023 (arXiv:2210.17323), algorithm 1: column by column, the rest makes up for what was rounded.

    The scales of a block of columns are those of its weights as they are when it begins.

    Args:
        weights: (outputs, inputs)
        moments: (inputs, inputs), the mean of x xᵀ over the inputs x of the matrix.

    Raises:
        ValueError: the moments are no numbers.
    """
    outputs, inputs = weights.shape
    left = weights.astype(np.float64)
    factor = _inverse_factor(moments)  # (inputs, inputs), upper triangular
    count = -(-inputs // block_size)
    codes = np.zeros((outputs, count, block_size), dtype=np.uint8)
    scales = np.zeros((outputs, count), dtype=np.float32)
    zeros = np.zeros((outputs, count), dtype=np.uint8)
    for block in range(count):
        begin, end = block * block_size, min((block + 1) * block_size, inputs)
        padded = in_blocks(left[:, begin:end], block_size)[:, 0]
        scale, zero = grid(padded, bits, symmetric=symmetric)
        scales[:, block], zeros[:, block] = scale, zero
        codes[:, block] = zero[:, None]  # what fills up the last block stands for nothing
        errors = np.zeros((outputs, end - begin))
        for place, column in enumerate(range(begin, end)):
            code = codes_of(left[:, column], scale, zero, bits)
            codes[:, block, place] = code
            restored = (code.astype(np.float64) - zero) * scale
            error = (left[:, column] - restored) / factor[column, column]
            left[:, column:end] -= np.outer(error, factor[column, column:end])
            errors[:, place] = error
        left[:, end:] -= errors @ factor[begin:end, end:]
    return Blocks(codes, scales, zeros)


def _inverse_factor(moments: Array) -> Array:
    """The upper Cholesky factor of the inverse of the damped moments."""
    damped = moments.astype(np.float64)
    if not np.isfinite(damped).all():
        raise ValueError("the moments of a matrix's inputs are no numbers")
    diagonal = np.diag(damped).copy()
    dead = diagonal <= 0  # an input that is always 0
    damped[dead, dead] = diagonal.mean() or 1.0
    damped[np.diag_indices_from(damped)] += DAMPING * (diagonal.mean() or 1.0)
    found: Array = np.linalg.cholesky(np.linalg.inv(damped)).T
    return found
