"""The range in which activations are rounded to 8 bits, found from their histogram."""

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.floating]]
Counts = np.ndarray[tuple[int, ...], np.dtype[np.integer]]

LEVELS = 128
"""Steps of a signed 8-bit number on one side of zero."""
STEPS, TURNS = 100, 2
"""Number of ends that are tried on a side, and how often both sides are searched."""


def percentile_range(counts: Counts, low: float, high: float, share: float) -> tuple[float, float]:
    """The narrowest range of whole bins that leaves at most (1 - share) / 2 of the numbers on each side.

    Args:
        counts: (bins,), of equal width from `low` to `high`.
        share: share of the numbers, above 0 and at most 1.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    below = np.concatenate([[0], np.cumsum(counts)])  # (bins + 1,) numbers below each edge
    outside = np.floor((1 - share) / 2 * below[-1])
    first = int(np.searchsorted(below, outside, side="right")) - 1
    last = int(np.searchsorted(below, below[-1] - outside, side="left"))
    return float(edges[first]), float(edges[last])


def least_error_range(counts: Counts, low: float, high: float) -> tuple[float, float]:
    """The range whose rounding to 256 levels leaves the least squared error.

    Numbers inside the range have the error to their level, those outside the error to the end: the choice of OMSE
    (Choukroun et al. 2019, arXiv:1902.06822), with separate ends on both sides. The ends are searched in turns.

    Args:
        counts: (bins,), of equal width from `low` to `high`.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    middles = (edges[1:] + edges[:-1]) / 2

    def error(left: float, right: float) -> float:
        step = (max(right, 0.0) - min(left, 0.0)) / (2 * LEVELS - 1) or 1.0
        rounded = np.clip(np.rint(middles / step) * step, left, right)
        return float((counts * (middles - rounded) ** 2).sum())

    shares = np.linspace(1, 1 / STEPS, STEPS)
    left, right = low, high
    for _ in range(TURNS):
        right = min((high * share for share in shares), key=lambda end: error(left, end)) if high > 0 else high
        left = min((low * share for share in shares), key=lambda end: error(end, right)) if low < 0 else low
    return left, right


def entropy_range(counts: Counts, low: float, high: float) -> tuple[float, float]:
    """The range, cut at the same distance from zero on both sides, whose rounding loses the least information.

    The distance t minimises the Kullback-Leibler divergence between the distribution of the magnitudes, clipped at t,
    and that of the same magnitudes rounded to 128 levels: Migacz 2017, "8-bit inference with TensorRT". (ONNX Runtime's
    calibrator follows the same talk in another way: it has 128 levels for both signs together.)

    Args:
        counts: (bins,), of equal width from `low` to `high`; more than 256, so that one side has more bins than levels.
    """
    largest = max(-low, high)
    if largest <= 0:
        return low, high
    magnitudes, width = _magnitudes(counts, low, high)
    ends = range(LEVELS, len(magnitudes) + 1, max(1, len(magnitudes) // 256))
    best = min(ends, key=lambda end: _divergence(magnitudes, end))
    cut = width * best
    return max(low, -cut), min(high, cut)


def _magnitudes(counts: Counts, low: float, high: float) -> tuple[Array, float]:
    """The histogram of the magnitudes, and the width of its bins, which is that of `counts`.

    The numbers of magnitude up to t are the numbers up to t without those below -t. Within a bin, numbers are assumed
    to be evenly spread.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    width = float((high - low) / len(counts))
    below = np.concatenate([[0], np.cumsum(counts)])  # (bins + 1,) numbers below each edge
    ends = np.arange(np.ceil(max(-low, high) / width) + 1) * width
    within = np.interp(ends, edges, below) - np.interp(-ends, edges, below)
    counts_by_magnitude: Array = np.diff(within)
    return counts_by_magnitude, width


def _divergence(magnitudes: Array, end: int) -> float:
    """Divergence between the first `end` bins, with later ones counted in the last, and the same in 128 levels."""
    clipped = magnitudes[:end].astype(np.float64)
    inside = clipped.copy()
    clipped[-1] += magnitudes[end:].sum()
    starts = np.arange(LEVELS) * end // LEVELS
    sums = np.add.reduceat(inside, starts)
    used = np.add.reduceat((inside > 0).astype(np.float64), starts)
    sizes = np.diff(np.append(starts, end))
    means = np.divide(sums, used, out=np.zeros(LEVELS), where=used > 0)
    rounded = np.where(inside > 0, np.repeat(means, sizes), 0.0)
    if not rounded.sum():
        return float("inf")
    p, q = clipped / clipped.sum(), rounded / rounded.sum()
    tiny = 1e-12  # for numbers beyond the cut if the last bin itself is empty
    positive = p > 0
    return float((p[positive] * np.log(p[positive] / np.maximum(q[positive], tiny))).sum())
