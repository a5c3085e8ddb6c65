"""GPTQ: rounded weights whose errors compensate each other on a matrix's inputs."""

import numpy as np

from compress.ops.blockwise import Array, Blocks, codes_of, in_blocks, least_error_grid

DAMPING = 0.01
"""Share of the mean of the moments' diagonal that is added to the diagonal, so that every direction counts."""
COLUMNS = 128
"""Columns that are rounded before their errors are passed on to all later columns."""


def gptq(weights: Array, moments: Array, bits: int, block_size: int, *, symmetric: bool) -> Blocks:
    """A matrix rounded by algorithm 1 of Frantar et al. 2023 (arXiv:2210.17323).

    It rounds column by column, and each time corrects the remaining columns for the error. The columns of the largest
    inputs come first, as in the authors' code (`--act-order` with `--static-groups`), while many columns remain to
    correct their errors. So the scales of all blocks are found before: those of the least squared error, each error
    weighted by what remains of it after all corrections.

    Args:
        weights: (outputs, inputs)
        moments: (inputs, inputs), the mean of x xᵀ over the inputs x of the matrix.

    Raises:
        ValueError: a moment is not a number.
    """
    outputs, inputs = weights.shape
    order = np.argsort(-np.diag(moments), kind="stable")
    factor = _inverse_factor(moments[np.ix_(order, order)])  # (inputs, inputs), upper triangular
    importance = np.empty((1, inputs))
    importance[0, order] = (
        np.diag(factor) ** -2.0
    )  # equation 2: the final loss of an error e in a column is e² times this
    scales, zeros = least_error_grid(
        in_blocks(weights, block_size), bits, symmetric=symmetric, importance=in_blocks(importance, block_size)[0]
    )
    codes = np.repeat(zeros[..., None], block_size, axis=-1)  # the padding of the last block means nothing
    columns = codes.reshape(outputs, -1)  # a view of the same memory
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
