"""Ratios of two sums over rows, such as micro F1, with intervals at 95% confidence where no other is asked for.

Micro F1 is hits / ((predicted + true) / 2), summed over all rows. Things in one row depend on each other, so the row is
the unit of chance: the spread is that of the rows' residuals, hits - F1 x size (the delta method for a ratio estimator;
Cochran 1977, Sampling Techniques, section 6.3).
"""

from typing import Any

import numpy as np

from compress.measurement import CONFIDENCE, Estimate
from compress.ops.means import drop_interval, t_quantile

Array = np.ndarray[Any, Any]


def ratio_interval(hits: Array, sizes: Array) -> Estimate:
    """A ratio between 0 and 1 with Wilson's interval for the effective number of rows.

    The effective number of rows is that of a share with the same variance (Kish 1965, Survey Sampling, section 8.2;
    Franco et al. 2019, doi:10.1093/jssam/smy019, compare such intervals). A row of average size, right in one half,
    is added to the residuals, because a few mistakes show little of their spread.

    Args:
        hits: (rows,) at most `sizes`.
        sizes: (rows,) not all 0; rows of size 0 do not count.
    """
    there = sizes > 0
    hits, sizes = hits[there].astype(float), sizes[there].astype(float)
    rows, whole = len(sizes), float(sizes.sum())
    value = float(hits.sum()) / whole
    if rows < 2:
        return Estimate(value=value)
    effective = float(rows)
    if 0 < value < 1:
        mean = whole / rows
        padded = (hits.sum() + mean / 2) / (whole + mean)
        squares = np.square(hits - padded * sizes).sum() + mean**2 * ((1 - padded) ** 2 + padded**2) / 2
        effective = value * (1 - value) * whole**2 / (squares * rows / (rows - 1))
    low, high = _wilson(value, effective, t_quantile(rows))
    return Estimate(value=value, low=low, high=high)


def ratio_drop(base: tuple[Array, Array], other: tuple[Array, Array], confidence: float = CONFIDENCE) -> Estimate:
    """A ratio's loss against the baseline on the same rows; negative is a gain.

    The interval is that of a paired mean over the rows' linearised shares in the difference. The lost and the gained
    row that are added are whole rows of average size, or change as much as the row that changed most.

    Args:
        base: hits and sizes, (rows,) each; rows of size 0 in both outcomes do not count.
        other: the same for the other outcome of these rows.
        confidence: that of the interval.
    """
    there = (base[1] > 0) | (other[1] > 0)
    (first, before), (second, after) = (_influence(hits[there], sizes[there]) for hits, sizes in (base, other))
    changes = before - after
    interval = drop_interval(first - second + changes, max(1.0, float(np.abs(changes).max())), confidence)
    value = first - second
    assert interval.low is not None
    assert interval.high is not None
    return Estimate(value=value, low=max(-1.0, min(interval.low, value)), high=min(1.0, max(interval.high, value)))


def _influence(hits: Array, sizes: Array) -> tuple[float, Array]:
    """A ratio, and the influence of each row on it times the number of rows, (rows,), with a mean of 0."""
    value = float(hits.sum()) / float(sizes.sum())
    return value, (hits - value * sizes) / sizes.mean()


def _wilson(value: float, rows: float, quantile: float) -> tuple[float, float]:
    """Wilson's interval (1927) of a share for a number of rows that need not be whole."""
    square = quantile**2 / rows
    middle, scale = value + square / 2, 1 + square
    half = np.sqrt(square * (value * (1 - value) + square / 4))
    return min(float((middle - half) / scale), value), max(float((middle + half) / scale), value)
