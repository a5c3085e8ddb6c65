"""Probabilities from a classifier's logits."""

from typing import Any

import numpy as np


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Probabilities along the last axis.

    Args:
        logits: (rows, classes), any float; computed in float64.

    Returns:
        The same shape, float64; each row sums to 1.
    """
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray[Any, Any] = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities
