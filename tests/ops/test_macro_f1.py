"""Macro F1's intervals: how often they hold the truth, how wide they are, and what they are made of."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from compress.measurement import Estimate
from compress.ops import macro_f1, statistics
from compress.ops.macro_f1 import f1_macro_drop, f1_macro_interval
from compress.ops.scores import f1_macro

Array = np.ndarray[Any, Any]


class Models:
    """Two models and where their rows come from: classes of Zipf shares, each with a recall of its own."""

    def __init__(self, classes: int, worst: float, flips: float) -> None:
        random = np.random.default_rng(5)
        self.shares = 1 / np.arange(1, classes + 1)
        self.shares /= self.shares.sum()
        self.recall = random.uniform(worst, 1, classes)
        self.flips = flips * (1 + np.arange(classes) / classes)  # rare classes change more often
        self.score = self.expected(self.recall)
        self.drop = self.score - self.expected(self.recall * (1 - self.flips) + (1 - self.recall) * self.flips)

    def expected(self, recall: Array) -> float:
        """Macro F1 over all rows that there could be, where a wrong answer is any other class alike."""
        missed = self.shares * (1 - recall)
        predicted = self.shares * recall + (missed.sum() - missed) / (len(recall) - 1)
        return float(np.mean(2 * self.shares * recall / (self.shares + predicted)))

    def draw(self, random: np.random.Generator, rows: int) -> tuple[Array, Array, Array]:
        """What both say of rows, and the truth; what changes is right before and wrong after, or the other way."""
        classes = len(self.shares)
        truth = random.choice(classes, rows, p=self.shares)
        wrong = (truth + 1 + random.integers(0, classes - 1, rows)) % classes
        right = random.random(rows) < self.recall[truth]
        changes = random.random(rows) < self.flips[truth]
        return np.where(right, truth, wrong), np.where(right ^ changes, truth, wrong), truth


def holds(found: Estimate, true: float) -> bool:
    return bool(bounds(found)[0] <= true <= bounds(found)[1])


def bounds(found: Estimate) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    return found.low, found.high


def coverage(models: Models, rows: int, tables: int) -> tuple[float, float, float]:
    """Shares of tables whose intervals hold the true score and the true drop, and the drop's median width."""
    random = np.random.default_rng(1)
    score, drop, widths = 0, 0, []
    for _ in range(tables):
        base, other, truth = models.draw(random, rows)
        score += holds(f1_macro_interval(base, truth), models.score)
        found = f1_macro_drop(base, other, truth)
        drop += holds(found, models.drop)
        widths.append(bounds(found)[1] - bounds(found)[0])
    return score / tables, drop / tables, float(np.median(widths))


def test_intervals_of_many_rare_classes_hold_the_truth_and_are_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macro_f1, "RESAMPLES", 199)
    score, drop, width = coverage(Models(52, 0.8, 0.01), 2568, tables=60)
    assert score >= 0.93
    assert drop >= 0.93
    assert width < 0.03  # with one row lost and one gained of each class it was 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "worst", "flips", "rows"),
    [(52, 0.8, 0.01, 2568), (52, 0.8, 0.002, 2568), (20, 0.6, 0.03, 2000), (8, 0.8, 0.02, 400), (3, 0.8, 0.02, 300)],
)
def test_intervals_hold_the_truth(
    classes: int, worst: float, flips: float, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(macro_f1, "RESAMPLES", 499)
    score, drop, _ = coverage(Models(classes, worst, flips), rows, tables=400)
    assert score >= 0.93
    assert drop >= 0.93


def test_with_many_rows_of_each_class_they_are_the_ordinary_bootstraps() -> None:
    base, other, truth = Models(4, 0.7, 0.05).draw(np.random.default_rng(2), 5000)

    def score(chosen: Array) -> float:
        return f1_macro(base[chosen], truth[chosen])

    def drop(chosen: Array) -> float:
        return score(chosen) - f1_macro(other[chosen], truth[chosen])

    for found, statistic in ((f1_macro_interval(base, truth), score), (f1_macro_drop(base, other, truth), drop)):
        expected = stats.bootstrap(
            (np.arange(5000),),
            statistic,
            n_resamples=300,
            method="percentile",
            vectorized=False,
            rng=np.random.default_rng(3),
        )
        low, high = bounds(found)
        assert found.value == pytest.approx(statistic(np.arange(5000)), abs=1e-12)
        assert (high - low) / (2 * 1.959964) == pytest.approx(expected.standard_error, rel=0.08)
        assert (low + high) / 2 == pytest.approx(found.value, abs=0.1 * expected.standard_error)


def test_resampled_counts_score_as_the_rows_that_they_count() -> None:
    base, other, truth = Models(6, 0.5, 0.2).draw(np.random.default_rng(4), 60)
    cells = macro_f1._mixed(np.stack([base, other]), truth, [])
    assert cells.weights.sum() == 60
    counts = np.random.default_rng(5).multinomial(60, cells.weights / 60, size=20)
    expected = [
        [f1_macro(np.repeat(own, drawn), np.repeat(cells.truth, drawn)) for own in cells.predicted] for drawn in counts
    ]
    assert macro_f1._scores(counts, cells) == pytest.approx(np.array(expected), abs=1e-12)


def test_a_score_without_an_error_is_not_sure() -> None:
    """Two rows of a class that are both right prove little, and of forty classes as little each."""
    truth = np.arange(80) % 40
    low, high = bounds(f1_macro_interval(truth, truth))
    assert high == 1
    assert 0.9 < low < 0.99


def test_a_drop_is_never_sure_where_no_row_flipped() -> None:
    truth = np.arange(36) % 3
    found = f1_macro_drop(truth, truth, truth)
    assert found.value == 0
    assert bounds(found)[0] < -0.01
    assert bounds(found)[1] > 0.01
    assert statistics.quality_verdict(found, 0.01) == "inconclusive"


def test_a_drop_gets_surer_with_more_rows() -> None:
    widths = []
    for rows in (60, 600, 6000):
        truth = np.arange(rows) % 3
        low, high = bounds(f1_macro_drop(truth, truth, truth))
        widths.append(high - low)
    assert widths[0] > 5 * widths[1] > 25 * widths[2]


def test_rows_of_one_class_have_intervals_too() -> None:
    truth = np.zeros(50, int)
    low, high = bounds(f1_macro_interval(truth, truth))
    assert 0.9 < low < high == 1
    assert math.isclose(f1_macro_drop(truth, truth, truth).value, 0)


def test_the_same_rows_give_the_same_figures() -> None:
    base, other, truth = Models(5, 0.7, 0.1).draw(np.random.default_rng(6), 300)
    assert f1_macro_interval(base, truth) == f1_macro_interval(base, truth)
    assert f1_macro_drop(base, other, truth) == f1_macro_drop(base, other, truth)
