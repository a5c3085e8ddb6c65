"""How far what one model says is from what another does."""

from typing import Any

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


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
