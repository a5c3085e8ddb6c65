"""Agreement of two models' answers beyond chance."""

from typing import Any

import numpy as np

FEW = 10
"""Fewest answers of other classes than the commonest from which agreement beyond chance is computed."""


def cohens_kappa(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> float | None:
    """Agreement of classes beyond what chance would give: Cohen's kappa (Cohen 1960), at most 1.

    If most answers are one class, a model that always gives this class agrees on most rows, but has a kappa of 0.

    Args:
        before, after: (answers,) class indices.

    Returns:
        The kappa; None if fewer than `FEW` answers of `before` have another class than the commonest.
    """
    classes = int(max(before.max(), after.max())) + 1
    first, second = (np.bincount(side, minlength=classes) for side in (before, after))
    if len(before) - first.max() < FEW:
        return None
    chance = float(first @ second) / len(before) ** 2
    same = float((before == after).mean())
    return (same - chance) / (1 - chance)
