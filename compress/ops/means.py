"""Means of real numbers, one a row, with their intervals at 95% confidence, and what a mean loses on the same rows."""

from typing import Any

import numpy as np
from scipy import stats

from compress.measurement import Estimate

CONFIDENCE = 0.95
FEW = 10
"""Rows that change; of fewer, the one that changed most tells little of how far others may."""

Array = np.ndarray[Any, Any]


def mean_interval(values: Array) -> Estimate:
    """The mean with Student's t interval (Student 1908, doi:10.1093/biomet/6.1.1); without one for a single row.

    Args:
        values: (rows,).
    """
    value = float(values.mean())
    if len(values) < 2:
        return Estimate(value=value)
    half = t_quantile(len(values)) * float(stats.sem(values))
    return Estimate(value=value, low=value - half, high=value + half)


def mean_drop(base: Array, other: Array, largest: float | None = None) -> Estimate:
    """What the mean loses against the baseline on the same rows; negative is a gain. See `drop_interval`.

    Args:
        base: (rows,).
        other: (rows,), the same rows.
        largest: change of a row that may come although none has been seen: 1 where rows turn from right to wrong. Left
            out: that of the row that changed most; where fewer than `FEW` did, the distance of the best row from the
            worst.
    """
    differences = base - other
    if largest is None:
        largest = float(np.ptp(base)) if np.count_nonzero(differences) < FEW else 0.0
    return drop_interval(differences, max(largest, float(np.abs(differences).max())))


def drop_interval(differences: Array, size: float) -> Estimate:
    """The mean of paired differences with its t interval, one row lost and one gained added to them.

    Those two do for numbers what Bonett and Price (2012, doi:10.1080/00031305.2012.640949) do for right and wrong rows:
    where few rows change, the changes that were not seen count for something, and models that agree on all rows at hand
    are not called equal on all rows there are.

    Args:
        differences: (rows,) baseline less other.
        size: of the change of each added row.
    """
    padded = np.append(differences, [size, -size])
    value, middle = float(differences.mean()), float(padded.mean())
    half = t_quantile(len(padded)) * float(stats.sem(padded))
    return Estimate(value=value, low=min(middle - half, value), high=max(middle + half, value))


def t_quantile(rows: int) -> float:
    """How many standard errors the interval of a mean reaches to each side."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, rows - 1))
