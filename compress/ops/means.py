"""Means of a real number for each row, and their paired drops, with intervals (at 95% if nothing else is asked for)."""

from typing import Any

import numpy as np
from scipy import stats

from compress.measurement import CONFIDENCE, Estimate

FEW = 10
"""Fewest changed rows from which the largest change tells how far other rows may change."""

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


def mean_drop(base: Array, other: Array, largest: float | None = None, confidence: float = CONFIDENCE) -> Estimate:
    """The mean's loss against the baseline on the same rows, as in `drop_interval`; negative is a gain.

    Args:
        base: (rows,).
        other: (rows,), the same rows.
        largest: largest change of a row that is possible, even if no such change was seen: 1 if rows turn from right to
            wrong. None: the largest change that was seen; if fewer than `FEW` rows changed, the difference of the best
            and the worst row.
        confidence: that of the interval.
    """
    differences = base - other
    if largest is None:
        largest = float(np.ptp(base)) if np.count_nonzero(differences) < FEW else 0.0
    return drop_interval(differences, max(largest, float(np.abs(differences).max())), confidence)


def drop_interval(differences: Array, size: float, confidence: float = CONFIDENCE) -> Estimate:
    """The mean of paired differences with its t interval, one row lost and one gained added to them.

    The two rows do for numbers what Bonett and Price (2012, doi:10.1080/00031305.2012.640949) do for right and wrong
    rows: if few rows change, changes that were not seen still count, and models that agree on all rows at hand are not
    called equal on all possible rows.

    Args:
        differences: (rows,) baseline minus other.
        size: size of the change of each added row.
        confidence: that of the interval.
    """
    padded = np.append(differences, [size, -size])
    value, middle = float(differences.mean()), float(padded.mean())
    half = t_quantile(len(padded), confidence) * float(stats.sem(padded))
    return Estimate(value=value, low=min(middle - half, value), high=max(middle + half, value))


def t_quantile(rows: int, confidence: float = CONFIDENCE) -> float:
    """Half the width of a mean's interval in standard errors."""
    return float(stats.t.ppf((1 + confidence) / 2, rows - 1))
