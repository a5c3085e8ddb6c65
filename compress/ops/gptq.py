"""Rounded weights whose errors make up for each other on the inputs that a matrix gets."""

import numpy as np

from compress.ops.blockwise import Array, Blocks, codes_of, in_blocks, least_error_grid

DAMPING = 0.01
"""Of the mean of the moments' diagonal, added to it: no direction counts for nothing."""
COLUMNS = 128
"""Looked at before what comes after them is told of their errors."""


def gptq(weights: Array, moments: Array, bits: int, block_size: int, *, symmetric: bool) -> Blocks:
    """Frantar et al. 2023 (arXiv:2210.17323), algorithm 1: column by column, the rest makes up for what was rounded.

    The columns of inputs that are largest come first, as in the authors' code (`--act-order` with `--static-groups`):
    while there is most left to make up for them. So the scales of all blocks are found before: those of the least
    squared error, an error counting by what is left of it when all that come after have made up for it.

    Args:
        weights: (outputs, inputs)
        moments: (inputs, inputs), the mean of x xᵀ over the inputs x of the matrix.

    Raises:
        ValueError: the moments are no numbers.
    """
    outputs, inputs = weights.shape
    order = np.argsort(-np.diag(moments), kind="stable")
    factor = _inverse_factor(moments[np.ix_(order, order)])  # (inputs, inputs), upper triangular
    importance = np.empty((1, inputs))
    importance[0, order] = np.diag(factor) ** -2.0  # equation 2: an error e of a column costs e² of these in the end
    scales, zeros = least_error_grid(
        in_blocks(weights, block_size), bits, symmetric=symmetric, importance=in_blocks(importance, block_size)[0]
    )
    codes = np.repeat(zeros[..., None], block_size, axis=-1)  # what fills up the last block stands for nothing
    columns = codes.reshape(outputs, -1)  # the same memory
    remaining = weights.T[order].astype(np.float64)  # (inputs, outputs)
    for begin in range(0, inputs, COLUMNS):
        end = min(begin + COLUMNS, inputs)
        errors = np.zeros((end - begin, outputs))
        for place in range(begin, end):
            block = order[place] // block_size
            scale, zero = scales[:, block], zeros[:, block]
            code = codes_of(remaining[place], scale, zero, bits)
            columns[:, order[place]] = code
            error = (remaining[place] - (code.astype(np.float64) - zero) * scale) / factor[place, place]
            remaining[place:end] -= np.outer(factor[place, place:end], error)
            errors[place - begin] = error
        remaining[end:] -= factor[begin:end, end:].T @ errors
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
    upper: Array = np.linalg.cholesky(np.linalg.inv(damped)).T
    return upper
