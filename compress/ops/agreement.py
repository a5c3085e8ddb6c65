"""Whether two models say the same more often than chance would make them."""

from typing import Any

import numpy as np

FEW = 10
"""Answers of other classes than the commonest; of fewer, agreement beyond chance is not told."""


def cohens_kappa(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> float | None:
    """Agreement of classes beyond what chance would give: Cohen's kappa (Cohen 1960), at most 1.

    Where most answers are one class, a model that always says so agrees on most, and has a kappa of 0.

    Args:
        before, after: (answers,) class indices.

    Returns:
        None where less than `FEW` have another class than the commonest, before: so few cannot tell.
    """
    classes = int(max(before.max(), after.max())) + 1
    first, second = (np.bincount(side, minlength=classes) for side in (before, after))
    if len(before) - first.max() < FEW:
        return None
    chance = float(first @ second) / len(before) ** 2
    same = float((before == after).mean())
    return (same - chance) / (1 - chance)
