"""The one-sided test of a drop: how often its claims are wrong, and how often it passes with the rows it asks for."""

import numpy as np
import pytest
from scipy import stats

from compress.measurement import Estimate
from compress.ops import macro_f1
from compress.ops.one_sided import both_sides, drop_bound, rows_needed
from compress.ops.outcomes import Classes, Counts, Outcome, Right, Values
from compress.ops.statistics import accuracy_drop
from tests.ops.test_macro_f1 import Models


def rights(lost: int, gained: int, rows: int) -> tuple[Right, Right]:
    """A baseline and another model, of which the first alone is right on `lost` rows, the other alone on `gained`."""
    before, after = np.ones(rows, bool), np.ones(rows, bool)
    after[:lost] = False
    before[lost : lost + gained] = False
    return Right(before), Right(after)


def pairs_of_each_kind(rows: int) -> dict[str, tuple[Outcome, Outcome]]:
    random = np.random.default_rng(3)
    truth = random.integers(0, 4, rows)
    said = [np.where(random.random(rows) < share, truth, (truth + 1) % 4) for share in (0.9, 0.89)]
    sizes, values = random.integers(1, 5, rows), random.random(rows)
    hits = random.binomial(sizes, 0.9)
    return {
        "right": (Right(said[0] == truth), Right(said[1] == truth)),
        "classes": (Classes(said[0], truth), Classes(said[1], truth)),
        "counts": (Counts(hits, sizes), Counts(np.maximum(hits - (random.random(rows) < 0.05), 0), sizes)),
        "values": (Values(values), Values(values - 0.01 * random.random(rows))),
        "shares": (Values(values, is_share=True), Values(values * (random.random(rows) > 0.02), is_share=True)),
    }


@pytest.mark.parametrize("kind", ["right", "classes", "counts", "values", "shares"])
def test_the_bound_lies_within_the_interval_and_is_the_end_of_a_narrower_one(kind: str) -> None:
    before, after = pairs_of_each_kind(400)[kind]
    wide, narrow = before.drop(after), before.drop(after, both_sides(0.95))
    bound = drop_bound(before, after)
    assert wide.high is not None
    assert bound is not None
    assert narrow.value == wide.value <= bound < wide.high
    assert bound == narrow.high
    quantiles = (stats.norm.ppf(0.95) / stats.norm.ppf(0.975), stats.t.ppf(0.95, 401) / stats.t.ppf(0.975, 401))
    assert (bound - wide.value) / (wide.high - wide.value) == pytest.approx(np.mean(quantiles), abs=0.02)


def test_the_bound_of_right_and_wrong_rows_is_a_normal_one_with_a_row_lost_and_a_row_gained() -> None:
    bound = drop_bound(*rights(12, 5, 500))
    mean = 7 / 502
    assert bound == pytest.approx(mean + stats.norm.ppf(0.95) * np.sqrt((19 / 502 - mean**2) / 501), rel=1e-12)


def bounds(lost: np.ndarray, gained: np.ndarray, rows: int) -> np.ndarray:
    """The bounds of many samples at once, each of so many rows."""
    mean = (lost - gained) / (rows + 2)
    return mean + stats.norm.ppf(0.95) * np.sqrt(((lost + gained + 2) / (rows + 2) - mean**2) / (rows + 1))


@pytest.mark.parametrize("gained", [0.0025, 0.01, 0.04])
@pytest.mark.parametrize("rows", [400, 1600, 6000])
def test_a_drop_of_exactly_the_margin_is_seldom_called_within_it(rows: int, gained: float) -> None:
    margin = 0.01
    shares = [margin + gained, gained, 1 - margin - 2 * gained]
    lost, won, _ = np.random.default_rng(4).multinomial(rows, shares, 20_000).T
    assert np.mean(bounds(lost, won, rows) <= margin) <= 0.06
    assert bounds(lost[:1], won[:1], rows)[0] == pytest.approx(drop_bound(*rights(lost[0], won[0], rows)), rel=1e-12)


def test_where_few_rows_differ_and_all_are_lost_the_claims_stay_below_one_in_ten() -> None:
    random = np.random.default_rng(5)
    for rows in range(200, 3000, 100):
        lost = random.binomial(rows, 0.01, 20_000)
        assert np.mean(bounds(lost, 0 * lost, rows) <= 0.01) <= 0.105


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "worst", "flips", "rows", "most"),
    [(52, 0.8, 0.01, 2568, 0.08), (20, 0.6, 0.03, 2000, 0.08), (8, 0.8, 0.02, 400, 0.11)],
)
def test_a_drop_of_macro_f1_is_seldom_called_smaller(
    classes: int, worst: float, flips: float, rows: int, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(macro_f1, "RESAMPLES", 299)
    models, random = Models(classes, worst, flips), np.random.default_rng(1)
    claims = []
    for _ in range(400):
        base, other, truth = models.draw(random, rows)
        bound = drop_bound(Classes(base, truth), Classes(other, truth))
        assert bound is not None
        claims.append(bound <= models.drop)
    assert np.mean(claims) <= most  # three standard errors of 400 trials above 5% and 8%


@pytest.mark.parametrize(("lost", "gained", "rows"), [(4, 2, 300), (15, 9, 1000), (30, 25, 900), (60, 70, 2000)])
def test_with_the_rows_that_are_needed_one_sample_in_two_passes(lost: int, gained: int, rows: int) -> None:
    margin = 0.01
    needed = rows_needed(*rights(lost, gained, rows), margin)
    assert needed is not None
    shares = np.array([lost, gained, rows - lost - gained]) / rows
    drawn_lost, drawn_gained, _ = np.random.default_rng(6).multinomial(needed, shares, 20_000).T
    assert np.mean(bounds(drawn_lost, drawn_gained, needed) <= margin) == pytest.approx(0.5, abs=0.06)
    expected = bounds(*(needed * shares[:2]), needed)
    assert expected == pytest.approx(margin, rel=0.01)


@pytest.mark.parametrize("kind", ["right", "classes", "counts", "values", "shares"])
def test_the_rows_that_are_needed_are_those_at_which_repeated_rows_meet_the_margin(kind: str) -> None:
    before, after = pairs_of_each_kind(400)[kind]
    for times in (3, 10):
        margin = drop_bound(before.repeated(times), after.repeated(times))
        assert margin is not None
        assert rows_needed(before, after, margin) == pytest.approx(400 * times, rel=0.12)


def test_models_that_always_agree_need_rows_for_the_pseudo_rows_alone() -> None:
    needed = rows_needed(*rights(0, 0, 100), 0.01)
    assert needed == pytest.approx(stats.norm.ppf(0.95) * np.sqrt(2) / 0.01, rel=0.02)


def test_no_number_of_rows_is_enough_for_a_drop_of_the_margin_or_more() -> None:
    assert rows_needed(*rights(10, 0, 1000), 0.01) is None
    assert rows_needed(*rights(30, 0, 1000), 0.01) is None
    nothing = Counts(np.zeros(5), np.zeros(5))
    assert drop_bound(nothing, nothing) is None
    assert rows_needed(nothing, nothing, 0.01) is None


@pytest.mark.parametrize("kind", ["right", "classes", "counts", "values", "shares"])
def test_repeated_rows_have_the_same_value_and_drop_but_a_narrower_interval(kind: str) -> None:
    before, after = pairs_of_each_kind(200)[kind]
    more = before.repeated(3), after.repeated(3)
    assert len(more[0].rows) == 600
    assert more[0].value == pytest.approx(before.value, abs=1e-12)
    once, often = before.drop(after), more[0].drop(more[1])
    assert often.value == pytest.approx(once.value, abs=1e-12)
    assert width(often) < 0.65 * width(once)


def width(drop: Estimate) -> float:
    assert drop.low is not None
    assert drop.high is not None
    return drop.high - drop.low


def test_another_confidence_moves_both_ends() -> None:
    before, after = rights(12, 5, 500)
    ends = [accuracy_drop(before.right, after.right, confidence) for confidence in (0.5, 0.9, 0.95, 0.99)]
    assert [width(one) for one in ends] == sorted(width(one) for one in ends)
    assert ends[2] == before.drop(after)
