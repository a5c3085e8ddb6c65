"""Ranges from histograms, against sorted numbers and against what is known of distributions."""

import numpy as np
import pytest
from scipy.special import ndtr, rel_entr

from compress.ops.ranges import LEVELS, entropy_range, least_error_range, percentile_range


def histogram(values: np.ndarray, bins: int = 2048) -> tuple[np.ndarray, float, float]:
    low, high = float(values.min()), float(values.max())
    return np.histogram(values, bins=bins, range=(low, high))[0], low, high


@pytest.mark.parametrize("share", [0.9, 0.99, 0.999, 1.0])
def test_percentiles_are_those_of_the_sorted_numbers_to_a_bin(share: float) -> None:
    values = np.random.default_rng(0).standard_normal(100_000)
    counts, low, high = histogram(values)
    left, right = percentile_range(counts, low, high, share)
    width = (high - low) / 2048
    assert left == pytest.approx(np.quantile(values, (1 - share) / 2), abs=1.01 * width)
    assert right == pytest.approx(np.quantile(values, (1 + share) / 2), abs=1.01 * width)
    assert ((values < left).sum(), (values > right).sum()) <= ((1 - share) / 2 * 1e5, (1 - share) / 2 * 1e5)


def squared_error(values: np.ndarray, left: float, right: float) -> float:
    step = (right - left) / 255
    return float(((np.clip(np.rint((values - left) / step), 0, 255) * step + left - values) ** 2).mean())


def deployed_error(values: np.ndarray, left: float, right: float) -> float:
    """With a level at 0, as a zero point gives."""
    step = (right - left) / 255
    return float(((np.clip(np.rint(values / step) * step, left, right) - values) ** 2).mean())


@pytest.mark.parametrize("outlier", [3.0, 30.0, 300.0])
def test_the_least_error_is_that_of_trying_all_ends_on_the_numbers_themselves(outlier: float) -> None:
    random = np.random.default_rng(4)
    values = np.concatenate([random.standard_normal(20_000), [outlier, -1.5 * outlier]])
    left, right = least_error_range(*histogram(values, bins=8192))
    ends = np.geomspace(0.5, 1.5 * outlier, 40)
    best = min(deployed_error(values, -a, b) for a in ends for b in ends)
    assert deployed_error(values, left, right) < 1.2 * best
    assert deployed_error(values, left, right) <= 1.02 * deployed_error(values, values.min(), values.max())


def test_entropy_keeps_what_has_no_outliers_whole() -> None:
    values = np.random.default_rng(1).uniform(-3, 2, 100_000)
    left, right = entropy_range(*histogram(values))
    assert left == pytest.approx(-3, abs=0.1)
    assert right == pytest.approx(2, abs=0.1)


def test_entropy_cuts_few_outliers_off() -> None:
    random = np.random.default_rng(2)
    values = np.concatenate([random.standard_normal(1_000_000), [60.0, -80.0]])
    left, right = entropy_range(*histogram(values))
    assert -20 < left < -3
    assert 3 < right < 20
    inside = values[np.abs(values) < 5]
    assert squared_error(inside, left, right) < 0.2 * squared_error(inside, -80, 60)


def divergence_at(magnitudes: np.ndarray, end: int) -> float:
    """Of magnitudes cut after so many bins from the same in 128 levels, as the talk says it, level by level."""
    clipped = magnitudes[:end].astype(np.float64)
    clipped[-1] += magnitudes[end:].sum()
    rounded = np.zeros(end)
    for level in range(LEVELS):
        part = slice(level * end // LEVELS, (level + 1) * end // LEVELS)
        inside = magnitudes[part]
        rounded[part] = np.where(inside > 0, inside.sum() / max(1, (inside > 0).sum()), 0)
    return float(rel_entr(clipped / clipped.sum(), np.maximum(rounded / rounded.sum(), 1e-12)).sum())


STANDARD = np.random.default_rng(6).standard_normal(200_000)
DRAWS = {
    "Gaussian": STANDARD,
    "off centre": 0.7 * STANDARD + 0.5,
    "GELU outputs": 1.5 * STANDARD * ndtr(1.5 * STANDARD),
    "Laplace": np.random.default_rng(7).laplace(size=200_000),
}


@pytest.mark.parametrize("kind", list(DRAWS))
def test_entropy_loses_as_little_as_the_best_cut_of_a_histogram_of_magnitudes(kind: str) -> None:
    values = DRAWS[kind]
    counts, low, high = histogram(values, bins=8192)
    left, right = entropy_range(counts, low, high)
    cut, width = max(-left, right), (high - low) / 8192
    bins = int(np.ceil(np.abs(values).max() / width))
    magnitudes, _ = np.histogram(np.abs(values), bins=bins, range=(0, bins * width))
    least = min(divergence_at(magnitudes, end) for end in range(LEVELS, bins + 1, 64))
    assert divergence_at(magnitudes, min(bins, round(cut / width))) < 1.05 * least


@pytest.mark.parametrize("find", [entropy_range, lambda *said: percentile_range(*said, 0.999)])
def test_one_sided_numbers_keep_their_side(find) -> None:
    values = np.abs(np.random.default_rng(3).standard_normal(10_000))
    left, right = find(*histogram(values))
    assert left >= 0
    assert right > 2


def test_nothing_but_zeros_has_no_range() -> None:
    assert entropy_range(np.zeros(2048, dtype=np.int64), 0.0, 0.0) == (0.0, 0.0)
