"""Intervals, paired tests and verdicts from samples.

All intervals are two-sided, at 95% confidence where no other is asked for. Random resampling is seeded, so the same
samples give the same figures.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from compress.measurement import CONFIDENCE, Estimate, QualityVerdict, SpeedVerdict, Timings
from compress.recipe.schema import CLAIM_PROCESSES, FEWEST_PROCESSES

SPEED_GUARD = 1.01
"""A process's memory layout alone can make the same program this much faster (Mytkowicz et al. 2009, ASPLOS)."""
SAME_SPEED = 1.05
"""Within this factor both ways, two latencies are called the same."""
BINS = 15

Array = np.ndarray[Any, Any]


def speedup(base: Timings, other: Timings, *, paired: bool = True) -> Estimate:
    """How many times faster `other` is: the ratio of the medians over all samples, with its interval.

    Processes differ by more than the variation within one process shows (memory layout, clock). So the interval is a t
    interval over processes, with one figure for each process, as in Georges et al. 2007 (doi:10.1145/1297027.1297033,
    section 3.2) and Kalibera and Jones 2013 (doi:10.1145/2491894.2464160). If paired, the figure is the median over the
    process's rounds of the log ratio of both models' medians, which cancels what slows both models or only a few
    rounds. If unpaired, it is the log median of each model's process, compared by Welch's method. The interval is
    extended to include the ratio of all samples.

    Args:
        base: latencies of the baseline.
        other: latencies of the other model; with `paired`, in the same rounds as the baseline's.
        paired: False for samples of different runs.

    Raises:
        ValueError: the rounds of paired samples do not match.
    """
    first, second = np.asarray(base.samples_ms), np.asarray(other.samples_ms)
    if min(base.processes, other.processes) < FEWEST_PROCESSES:
        return Estimate(value=float(_pooled_median(first) / _pooled_median(second)))
    value, low, high = speedups(
        first, second, np.asarray(base.process_of_round), np.asarray(other.process_of_round), paired=paired
    )
    return Estimate(value=float(value), low=float(low), high=float(high))


def speedups(
    base: Array, other: Array, base_processes: Array, other_processes: Array, *, paired: bool = True
) -> tuple[Array, Array, Array]:
    """`speedup` of many pairs at once, each in two processes or more: (value, low, high), each (…).

    Args:
        base: (…, rounds, samples) of latencies.
        other: (…, rounds, samples) of latencies.
        base_processes: (rounds,) the number of the process that each round was measured in.
        other_processes: (rounds,) the same for `other`.
    """
    value = _pooled_median(base) / _pooled_median(other)
    with np.errstate(divide="ignore", invalid="ignore"):
        if paired:
            if not np.array_equal(base_processes, other_processes):
                raise ValueError("rounds of different processes are no pairs")
            ratios = np.log(np.median(base, axis=-1)) - np.log(np.median(other, axis=-1))  # (…, rounds)
            sides = [_by_process(ratios, base_processes)]
        else:
            sides = [
                _by_process(np.log(np.median(side, axis=-1)), numbers)
                for side, numbers in ((base, base_processes), (other, other_processes))
            ]
        return value, *_t_interval(value, sides)


def total_speedup(base: Timings, other: Timings, *, paired: bool = True) -> Estimate:
    """How many times less time `other` takes for all calls: the ratio of the sums, with its interval over processes.

    It is meant for calls that differ from each other, such as rows of their own lengths: only their total counts.

    Args:
        base: latencies of the baseline.
        other: latencies with the same number of calls in each process; with `paired`, of the same calls.
        paired: False for samples of different runs, which are compared by the mean call.
    """
    first, second = _mean_of_processes(base), _mean_of_processes(other)
    value = np.asarray(np.mean(base.samples_ms) / np.mean(other.samples_ms))
    if min(len(first), len(second)) < FEWEST_PROCESSES:
        return Estimate(value=float(value))
    sides = [np.log(first) - np.log(second)] if paired else [np.log(first), np.log(second)]
    low, high = _t_interval(value, sides)
    return Estimate(value=float(value), low=float(low), high=float(high))


def _t_interval(value: Array, sides: Sequence[Array]) -> tuple[Array, Array]:
    """Bounds of a ratio, extended to `value` where they leave it out.

    Args:
        sides: log ratios of processes, (…, processes); or the logs of both models, by Welch's method.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = [stats.sem(side, axis=-1) ** 2 for side in sides]
        counts = [side.shape[-1] - 1 for side in sides]
        middle = sides[0].mean(axis=-1) - sum(side.mean(axis=-1) for side in sides[1:])
        error = np.sqrt(sum(squares))
        freedom = sum(squares) ** 2 / sum(square**2 / count for square, count in zip(squares, counts, strict=True))
        freedom = np.where(error > 0, freedom, min(counts))  # without any scatter, 0 / 0
        half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    return np.minimum(np.exp(middle - half), value), np.maximum(np.exp(middle + half), value)


def _mean_of_processes(timings: Timings) -> Array:
    """Mean call of each process: (processes,)."""
    samples = np.asarray(timings.samples_ms)
    numbers = np.asarray(timings.process_of_round if len(timings.process_of_round) else [0] * len(samples))
    return np.array([samples[numbers == number].mean() for number in np.unique(numbers)])


def _pooled_median(samples: Array) -> Array:
    """Median over all samples of all rounds: (…, rounds, samples) -> (…)."""
    result: Array = np.median(samples.reshape(*samples.shape[:-2], -1), axis=-1)
    return result


def _by_process(values: Array, processes: Array) -> Array:
    """Median over the rounds of each process: (…, rounds) -> (…, processes)."""
    return np.stack([np.median(values[..., processes == number], axis=-1) for number in np.unique(processes)], axis=-1)


def speed_verdict(estimate: Estimate, processes: int) -> SpeedVerdict:
    """The verdict on speed that the interval of a speed-up allows.

    Args:
        processes: number of processes in which each model was measured, the smaller of both.
    """
    if estimate.low is None or estimate.high is None or processes < CLAIM_PROCESSES:
        return "inconclusive"
    if estimate.low > SPEED_GUARD:
        return "faster"
    if estimate.high < 1 / SPEED_GUARD:
        return "slower"
    return "as fast" if estimate.low >= 1 / SAME_SPEED and estimate.high <= SAME_SPEED else "inconclusive"


def accuracy(right: int, rows: int) -> Estimate:
    """Share of right rows, with Wilson's score interval (Wilson 1927)."""
    bounds = stats.binomtest(right, rows).proportion_ci(CONFIDENCE, method="wilson")
    value = right / rows
    return Estimate(
        value=value, low=min(float(bounds.low), value), high=max(float(bounds.high), value)
    )  # rounding puts a bound past the value


def accuracy_drop(base_right: Array, other_right: Array, confidence: float = CONFIDENCE) -> Estimate:
    """Accuracy lost against the baseline on the same rows, as a share of them; negative is a gain.

    The interval is Bonett and Price's for paired proportions (2012, doi:10.1080/00031305.2012.640949): a normal
    interval of the rows' differences with one row lost and one row gained added to them. Without those two, models
    that agree on all rows at hand would be called equal on all possible rows.

    Args:
        base_right: (rows,) of bool.
        other_right: (rows,) of bool, the same rows.
        confidence: that of the interval, between 0 and 1.
    """
    differences = base_right.astype(float) - other_right.astype(float)
    low, high = _drop_distribution(differences).interval(confidence)
    return Estimate(value=float(differences.mean()), low=max(-1.0, float(low)), high=min(1.0, float(high)))


def _drop_distribution(differences: Array) -> Any:
    """The normal distribution of a drop, of the rows' differences and two pseudo rows. See `accuracy_drop`."""
    padded = np.append(differences, [1.0, -1.0])
    return stats.norm(padded.mean(), stats.sem(padded))


def sign_test_p(lost: int, gained: int) -> float:
    """The p value of the sign test that rows are worse as often as better; for 0 and 1 it is McNemar's exact test.

    Args:
        lost: number of rows that are worse than with the baseline.
        gained: number of rows that are better than with the baseline.
    """
    differing = lost + gained
    return float(stats.binomtest(lost, differing).pvalue) if differing else 1.0


def quality_verdict(drop: Estimate, margin: float) -> QualityVerdict:
    """The verdict on quality that the interval of a drop allows, from its place relative to 0 and to `margin`."""
    if drop.low is None or drop.high is None:
        return "inconclusive"
    if drop.high < 0:
        return "better"
    if drop.low > 0:
        return "worse, within the margin" if drop.high <= margin else "worse"
    return "no worse" if drop.high <= margin else "inconclusive"


def calibration_error(confidences: Array, right: Array) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599, equation 3).

    Args:
        confidences: (rows,) probability of the predicted class.
        right: (rows,) of bool.
    """
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidences, minlength=BINS)  # (bins,) rows x (accuracy - confidence)
    return float(np.abs(gaps).sum() / len(right))
