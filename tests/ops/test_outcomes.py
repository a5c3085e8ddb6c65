"""Outcomes of four forms: how often their intervals hold the truth, and what else must be so of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compress.measurement import Estimate
from compress.ops.outcomes import Classes, Counts, Outcome, Right, Values, changed
from compress.ops.statistics import sign_test_p

Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator, int], tuple[Any, Any]]
MANY = 200_000
TRIALS = 200


def right_or_wrong(lost: float, gained: float) -> Draw:
    """Rows of which nine in ten are right, and some change."""

    def draw(random: np.random.Generator, rows: int) -> tuple[Right, Right]:
        drawn = random.random(rows)
        base = (drawn < lost) | (drawn > gained + 0.1)
        return Right(base), Right((base & (drawn >= lost)) | ((drawn >= lost) & (drawn < lost + gained)))

    return draw


def entities(per_row: float, missed: float, lost: float, gained: float) -> Draw:
    """Entities of rows, of which some rows are hard; in a row that changes, most of its entities do."""

    def draw(random: np.random.Generator, rows: int) -> tuple[Counts, Counts]:
        there = random.poisson(per_row, rows)
        hits = random.binomial(there, np.where(random.random(rows) < missed, 0.4, 1 - missed / 2))
        fewer = np.where(random.random(rows) < lost, random.binomial(hits, 0.7), 0)
        more = np.where(random.random(rows) < gained, random.binomial(there - hits, 0.7), 0)
        wrong = random.binomial(there - hits, 0.7)  # said of the type or the place of an entity that is missed
        said = hits + wrong
        return (
            Counts(hits, (there + said) / 2),
            Counts(hits - fewer + more, (there + said + random.binomial(fewer, 0.4) - fewer) / 2),
        )

    return draw


def scores_of_texts(right: float, changing: float) -> Draw:
    """Edit scores: many texts are right, and those that change do so by much."""

    def draw(random: np.random.Generator, rows: int) -> tuple[Values, Values]:
        base = np.where(random.random(rows) < right, 1.0, random.uniform(0.3, 1, rows))
        other = np.where(random.random(rows) < changing, base * random.random(rows), base)
        return Values(base, is_share=True), Values(other, is_share=True)

    return draw


def numbers(tails: Callable[[np.random.Generator, int], Array]) -> Draw:
    """Numbers of which each moves a little."""

    def draw(random: np.random.Generator, rows: int) -> tuple[Values, Values]:
        base = 1 - random.gamma(2, 0.1, rows)
        return Values(base), Values(base - 0.01 + 0.05 * tails(random, rows))

    return draw


def rare_numbers(random: np.random.Generator, rows: int) -> tuple[Values, Values]:
    """Numbers of which few move, but far."""
    base = 1 - random.gamma(2, 0.1, rows)
    return Values(base), Values(np.where(random.random(rows) < 0.05, base - random.gamma(2, 0.1, rows), base))


KINDS: dict[str, Draw] = {
    "rows, few lost": right_or_wrong(0.02, 0.01),
    "rows, none lost": right_or_wrong(0.0, 0.0),
    "entities, two a row": entities(2, 0.1, 0.05, 0.02),
    "entities, few rows have one": entities(0.7, 0.2, 0.03, 0.01),
    "entities, nearly all right": entities(3, 0.01, 0.01, 0.01),
    "texts, most right": scores_of_texts(0.7, 0.02),
    "texts, nearly all right": scores_of_texts(0.97, 0.01),
    "numbers, normal": numbers(lambda random, rows: random.normal(size=rows)),
    "numbers, heavy tails": numbers(lambda random, rows: random.standard_t(3, rows)),
    "numbers, few move": rare_numbers,
}


def holds(found: Estimate, true: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    return found.low <= true <= found.high


def coverage(draw: Draw, rows: int, trials: int) -> tuple[float, float]:
    """Shares of trials in which the intervals of the score and of the drop hold the true ones."""
    base, other = draw(np.random.default_rng(1), MANY)
    true = base.value, base.value - other.value
    random = np.random.default_rng(2)
    held = []
    for _ in range(trials):
        base, other = draw(random, rows)
        held.append((holds(base.score(), true[0]), holds(base.drop(other), true[1])))
    score, drop = np.array(held).mean(axis=0)
    return float(score), float(drop)


@pytest.mark.parametrize("kind", KINDS)
def test_the_intervals_of_a_score_and_of_a_drop_hold_the_true_ones(kind: str) -> None:
    score, drop = coverage(KINDS[kind], 400, TRIALS)
    assert score >= 0.92  # two standard errors of 200 trials below 95%
    assert drop >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("rows", [60, 200, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_the_intervals_hold_the_true_figures_of_few_and_of_many_rows(kind: str, rows: int) -> None:
    score, drop = coverage(KINDS[kind], rows, 2000)
    assert score >= 0.93
    assert drop >= 0.93


@pytest.mark.parametrize("kind", KINDS)
def test_the_intervals_are_not_wide(kind: str) -> None:
    """Not much wider than the resampling of so many rows would have them, where it can be trusted."""
    base, other = KINDS[kind](np.random.default_rng(3), 4000)
    found = {"score": base.score(), "drop": base.drop(other)}
    widths = {name: (estimate.high or 0) - (estimate.low or 0) for name, estimate in found.items()}
    random = np.random.default_rng(4)
    resampled = []
    for _ in range(200):
        chosen = random.integers(0, 4000, 4000)
        one, two = (_chosen(side, chosen) for side in (base, other))
        resampled.append((one.value, one.value - two.value))
    spread = 2 * 1.96 * np.std(resampled, axis=0)
    added = 2 * 1.96 * np.sqrt(2) / 4000  # of a row lost and a row gained
    assert widths["score"] <= 1.2 * spread[0] + added
    assert widths["drop"] <= 1.2 * spread[1] + 1.5 * added


def _chosen(outcome: Any, rows: Array) -> Any:
    parts = {name: value[rows] if isinstance(value, np.ndarray) else value for name, value in vars(outcome).items()}
    return type(outcome)(**parts)


@pytest.mark.parametrize("rows", [1, 2, 3, 50])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_rows_gives_figures(kind: str, rows: int) -> None:
    base, other = KINDS[kind](np.random.default_rng(rows), rows)
    for found in (base.score(), base.drop(other)):
        assert np.isfinite(found.value)
        assert found.low is None or found.low <= found.value <= (found.high or 0)
    assert base.drop(base).value == 0


ALIKE = [
    Right(np.ones(100, bool)),
    Counts(np.full(100, 2), np.full(100, 2)),
    Values(np.ones(100), is_share=True),
    Values(np.linspace(0, 1, 100)),
]


@pytest.mark.parametrize("same", ALIKE)
def test_models_that_agree_on_all_rows_are_not_surely_equal(same: Any) -> None:
    found = same.drop(same)
    assert found.value == 0
    assert found.low == pytest.approx(-found.high)
    assert 0.02 < found.high < 0.03  # 2 x sqrt(2) / 100, of a row lost and a row gained


def test_entities_of_one_a_row_are_rows_that_are_right_or_wrong() -> None:
    right = np.random.default_rng(5).random(500) < 0.9
    counts, rows = Counts(right, np.ones(500)).score(), Right(right).score()
    assert counts.value == rows.value
    assert [counts.low, counts.high] == pytest.approx([rows.low, rows.high], abs=5e-4)
    other = right & (np.arange(500) % 20 > 0)
    counts, rows = Counts(right, np.ones(500)).drop(Counts(other, np.ones(500))), Right(right).drop(Right(other))
    assert [counts.low, counts.high] == pytest.approx([rows.low, rows.high], abs=5e-4)


def test_micro_f1_of_a_worked_example() -> None:
    # hits, said and there: (2, 3, 2), (0, 1, 0), (1, 1, 4) -> 2 x 3 / (5 + 6)
    found = Counts(np.array([2, 0, 1]), np.array([2.5, 0.5, 2.5]))
    assert found.value == pytest.approx(6 / 11)
    assert found.rows.tolist() == [0.8, 0.0, 0.4]


def test_rows_without_anything_in_them_change_nothing() -> None:
    hits, sizes = np.array([2, 0, 1, 3]), np.array([2, 1, 2, 3])
    empty = np.zeros(100)
    assert Counts(hits, sizes).score() == Counts(np.append(hits, empty), np.append(sizes, empty)).score()
    few, many = (
        Counts(hits, sizes).drop(Counts(hits // 2, sizes))
        for hits, sizes in ((hits, sizes), (np.append(hits, empty), np.append(sizes, empty)))
    )
    assert few == many
    nothing = Counts(empty, empty)
    assert (nothing.score(), nothing.drop(nothing)) == (Estimate(value=1), Estimate(value=0))
    assert nothing.rows.tolist() == [1.0] * 100


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.random.default_rng(6).normal(size=30)
    found = Values(values).score()
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), *expected))
    other = values - np.random.default_rng(7).normal(0.1, 0.2, 30)
    largest = float(np.abs(values - other).max())
    paired = stats.ttest_1samp([*(values - other), largest, -largest], 0).confidence_interval(0.95)
    drop = Values(values).drop(Values(other))
    assert (drop.low, drop.high) == pytest.approx(tuple(paired))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_lost_and_gained_rows_are_those_of_mcnemars_test(rows: list[tuple[bool, bool]]) -> None:
    base, other = np.array(rows).T
    lost, gained = changed(Right(base), Right(other))
    assert (len(lost), len(gained)) == (int((base & ~other).sum()), int((~base & other).sum()))
    differing = len(lost) + len(gained)
    expected = stats.binomtest(len(lost), differing).pvalue if differing else 1.0
    assert sign_test_p(len(lost), len(gained)) == pytest.approx(expected)


def test_the_sign_test_of_numbers_counts_rows_that_are_worse_and_better() -> None:
    base, other = Values(np.array([0.5, 0.1, 0.3, 0.3])), Values(np.array([0.4, 0.2, 0.3, 0.3 + 1e-15]))
    lost, gained = changed(base, other)
    assert (lost.tolist(), gained.tolist()) == ([0], [1])
    outcomes: list[Outcome] = [Classes(np.array([0, 1, 1]), np.array([0, 1, 0])), Right(np.array([True, True, False]))]
    assert [outcome.rows.tolist() for outcome in outcomes] == [[1, 1, 0], [1, 1, 0]]
