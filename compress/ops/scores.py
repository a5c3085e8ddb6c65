"""The metrics of predictions: each is a function (predictions, truth) -> score between 0 and 1."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def accuracy(predictions: Array, truth: Array) -> float:
    """Share of rows that are right.

    Args:
        predictions: (rows,) class indices.
        truth: (rows,) class indices.
    """
    return float((predictions == truth).mean())


def f1_macro(predictions: Array, truth: Array) -> float:
    """Unweighted mean of the F1 of each class in the truth; computed by counting, fast enough for a bootstrap.

    Args:
        predictions: (rows,) class indices.
        truth: (rows,) class indices.
    """
    classes = int(max(predictions.max(), truth.max())) + 1
    hits = np.bincount(truth[predictions == truth], minlength=classes)
    there = np.bincount(truth, minlength=classes)
    predicted = np.bincount(predictions, minlength=classes)
    present = there > 0
    return float((2 * hits[present] / (there[present] + predicted[present])).mean())
