"""What samples can tell, and what they cannot: intervals, paired tests and verdicts.

All intervals are two-sided, at 95% confidence. Random resampling is seeded, so the same samples give the same figures.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from compress.measurement import Estimate
from compress.ops.scores import SCORES

CONFIDENCE = 0.95
RESAMPLES = 4999
FEWEST_ROUNDS = 3
"""With fewer rounds than these an interval would be a guess."""
SPEED_GUARD = 1.01
"""A process's memory layout alone can make the same program this much faster (Mytkowicz et al. 2009, ASPLOS)."""
SAME_SPEED = 1.05
"""Within this factor both ways, two latencies are called the same."""
BINS = 15

Array = np.ndarray[Any, Any]
QualityVerdict = Literal["better", "no worse", "worse", "inconclusive"]
SpeedVerdict = Literal["faster", "as fast", "slower", "inconclusive"]


def speedup(
    base_ms: Sequence[Sequence[float]], other_ms: Sequence[Sequence[float]], *, paired: bool = True
) -> Estimate:
    """How many times faster `other` is: the ratio of the medians over all samples, with a bootstrap over rounds.

    Rounds are resampled whole, since samples of one round share the machine's mood. The percentile interval of few
    rounds is too narrow; it is widened as Hesterberg 2015 (doi:10.1080/00031305.2015.1089789, section 4.3) says, by
    the t quantile and the bias of the variance.

    Args:
        base_ms: (rounds, samples) of latencies.
        other_ms: likewise; with `paired`, round for round beside the first's, as interleaving makes them.
        paired: False for samples of different runs.
    """
    base, other = np.asarray(base_ms), np.asarray(other_ms)
    value = float(np.median(base) / np.median(other))
    rounds = min(len(base), len(other))
    if rounds < FEWEST_ROUNDS:
        return Estimate(value=value)

    def ratio(of_base: Array, of_other: Array, axis: int = -1) -> Array:
        assert axis == -1
        result: Array = _pooled_median(base, of_base) / _pooled_median(other, of_other)
        return result

    def same_rounds(chosen: Array, axis: int = -1) -> Array:
        return ratio(chosen, chosen, axis)

    if paired:
        low, high = _bootstrap((np.arange(rounds),), same_rounds, widened(rounds))
    else:
        low, high = _bootstrap((np.arange(len(base)), np.arange(len(other))), ratio, widened(rounds))
    return Estimate(value=value, low=low, high=high)


def _pooled_median(samples: Array, chosen: Array) -> Array:
    """Median over all samples of the chosen rounds: (…, rounds) of row numbers -> (…)."""
    taken = samples[chosen.astype(int)]  # (…, rounds, samples)
    result: Array = np.median(taken.reshape(*taken.shape[:-2], -1), axis=-1)
    return result


def widened(count: int) -> float:
    """The confidence at which a percentile bootstrap of `count` draws covers what a t interval at 95% would."""
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * math.sqrt(count / (count - 1))
    return float(1 - 2 * stats.norm.sf(quantile))


def _bootstrap(
    data: tuple[Array, ...], statistic: Callable[..., Any], confidence: float, *, vectorized: bool = True
) -> tuple[float, float]:
    found = stats.bootstrap(
        data,
        statistic,
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=vectorized,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def speed_verdict(found: Estimate) -> SpeedVerdict:
    """What the interval of a speed-up allows to be said."""
    if found.low is None or found.high is None:
        return "inconclusive"
    if found.low > SPEED_GUARD:
        return "faster"
    if found.high < 1 / SPEED_GUARD:
        return "slower"
    return "as fast" if found.low >= 1 / SAME_SPEED and found.high <= SAME_SPEED else "inconclusive"


def accuracy(right: int, rows: int) -> Estimate:
    """Share of right rows, with Wilson's score interval (Wilson 1927)."""
    low, high = proportion_confint(right, rows, alpha=1 - CONFIDENCE, method="wilson")
    value = right / rows
    return Estimate(
        value=value, low=min(float(low), value), high=max(float(high), value)
    )  # rounding puts a bound past 0 or 1


def bootstrap_rows(rows: int, score: Callable[[Array], float]) -> Estimate:
    """Any score of test rows, with a percentile bootstrap over the rows.

    Args:
        score: the score of the rows of these numbers, which may repeat.
    """
    low, high = _bootstrap((np.arange(rows),), score, CONFIDENCE, vectorized=False)
    return Estimate(value=score(np.arange(rows)), low=low, high=high)


def accuracy_drop(base_right: Array, other_right: Array) -> Estimate:
    """Accuracy lost against the baseline on the same rows, as a share of them; negative is a gain.

    The interval is Bonett and Price's for paired proportions (2012, doi:10.1080/00031305.2012.640949): a normal
    interval of the rows' differences with one row lost and one row gained added to them. Without those two, models
    that agree on all rows at hand would be called equal on all rows there are.

    Args:
        base_right: (rows,) of bool.
        other_right: (rows,) of bool, the same rows.
    """
    differences = base_right.astype(float) - other_right.astype(float)
    low, high = _with_pseudo_rows(differences).zconfint_mean(1 - CONFIDENCE)
    return Estimate(value=float(differences.mean()), low=max(-1.0, float(low)), high=min(1.0, float(high)))


def score_drop(base: Array, other: Array, truth: Array, score: Callable[[Array, Array], float]) -> Estimate:
    """Any score lost against the baseline on the same rows, with a percentile bootstrap over the rows.

    As in `accuracy_drop`, rows are added of which one is lost and one gained, here of each class: resampling alone
    knows nothing of what it has not seen, and would call models equal that agree on the few rows of a rare class.

    Args:
        base: (rows,) predicted class indices of the baseline.
        other: (rows,) likewise.
        truth: (rows,) class indices.
        score: (predictions, truth) -> score, the higher the better.
    """
    classes, counts = np.unique(truth, return_counts=True)
    by_count = classes[np.argsort(-counts, kind="stable")]
    wrong = np.array([next((other for other in by_count if other != each), each + 1) for each in classes])
    first, second = np.concatenate([base, classes, wrong]), np.concatenate([other, wrong, classes])
    right = np.concatenate([truth, classes, classes])

    def drop(chosen: Array) -> float:
        return score(first[chosen], right[chosen]) - score(second[chosen], right[chosen])

    value = score(base, truth) - score(other, truth)
    low, high = _bootstrap((np.arange(len(right)),), drop, CONFIDENCE, vectorized=False)
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def metric_drop(metric: str, base: Array, other: Array, truth: Array) -> Estimate:
    """Loss of a recipe's metric against the baseline on the same rows, as a share; negative is a gain.

    Args:
        metric: name of one of `compress.ops.scores.SCORES`.
        base: (rows,) predicted class indices of the baseline.
        other: (rows,) likewise.
        truth: (rows,) class indices.
    """
    if metric == "accuracy":
        return accuracy_drop(base == truth, other == truth)
    return score_drop(base, other, truth, SCORES[metric])


def _with_pseudo_rows(differences: Array) -> Any:
    return DescrStatsW(np.append(differences, [1.0, -1.0]))


def non_inferiority_p(base_right: Array, other_right: Array, margin: float) -> float:
    """p value of "the accuracy drop is at least `margin`": small speaks for no worse. See `accuracy_drop`."""
    differences = base_right.astype(float) - other_right.astype(float)
    return float(_with_pseudo_rows(differences).ztest_mean(margin, alternative="smaller")[1])


def mcnemar_p(lost: int, gained: int) -> float:
    """p value of McNemar's exact test that two models are right equally often on the same rows.

    Args:
        lost: rows that the baseline has right and the other wrong.
        gained: rows the other way round.
    """
    return float(mcnemar([[0, lost], [gained, 0]], exact=True).pvalue)


def quality_verdict(drop: Estimate, margin: float) -> QualityVerdict:
    """What the interval of a drop allows to be said; `no worse` means by less than `margin`, in the drop's unit."""
    if drop.low is None or drop.high is None:
        return "inconclusive"
    if drop.high < 0:
        return "better"
    if drop.high <= margin:
        return "no worse"
    return "worse" if drop.low > 0 else "inconclusive"


def calibration_error(confidences: Array, right: Array) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599, equation 3).

    Args:
        confidences: (rows,) probability of the predicted class.
        right: (rows,) of bool.
    """
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidences, minlength=BINS)  # (bins,) rows x (accuracy - confidence)
    return float(np.abs(gaps).sum() / len(right))
