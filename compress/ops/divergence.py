"""Distances between the outputs of two models."""

from typing import Any

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


def logit_error(expected: Array, actual: Array) -> float:
    """Root of the mean squared difference of the second outputs from the first, as a share of the first's spread.

    The mean of a row's logits means nothing, and is subtracted. All rows count equally; in a divergence of
    probabilities a few uncertain rows would dominate.

    Args:
        expected, actual: (rows, classes) logits, any float; computed in float64.

    Returns:
        ‖actual - expected‖ / ‖expected‖; infinite if only the expected logits are equal for all classes.
    """
    first, second = (logits - logits.astype(np.float64).mean(-1, keepdims=True) for logits in (expected, actual))
    off, spread = np.linalg.norm(second - first), np.linalg.norm(first)
    return float(off / spread) if spread else float("inf") if off else 0.0


def divergence(expected: Array, actual: Array) -> float:
    """Mean Kullback-Leibler divergence of the second outputs' distribution from the first's, in nats.

    Args:
        expected, actual: (rows, classes) logits, any float; computed in float64.
    """
    logs = []
    for logits in (expected, actual):
        shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
        logs.append(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))
    first, second = logs
    return max(0.0, float((np.exp(first) * (first - second)).sum(-1).mean()))
