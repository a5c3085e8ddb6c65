"""The fixed-sequence test: its wrong claims, its order, where it stops, and what it says of those it does not prove."""

import numpy as np
import pytest

from compress.ops.one_sided import drop_bound, rows_needed
from compress.ops.outcomes import Classes, Right
from compress.recipe.schema import Goal
from compress.report.search import Selection
from compress.search.choice import Entrant, choose, other_limits
from compress.search.front import Standing
from tests.ops.test_one_sided import bounds, rights

ROWS = 2000
BEFORE = Right(np.ones(ROWS, bool))


def entrant(name: str, lost: int, **more) -> Entrant:
    """A finalist that has lost so many rows against `BEFORE`, and gained none."""
    return Entrant(name, rights(lost, 0, ROWS)[1], **more)


def verdicts(selection: Selection) -> list[str]:
    return [finalist.verdict for finalist in selection.finalists]


@pytest.mark.parametrize("rows", [500, 2000, 6000])
@pytest.mark.parametrize("drops", [(1.0,), (0.2, 1.0), (0.0, 0.5, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0, 1.0)])
def test_a_wrong_claim_is_made_in_one_of_twenty_searches(drops: tuple[float, ...], rows: int) -> None:
    """No more than that, though up to five finalists are tested, each at a level of 5%."""
    random, margin, gained = np.random.default_rng(7), 0.01, 0.01
    passed = []
    for drop in drops:
        share = drop / 100
        lost, won, _ = random.multinomial(rows, [share + gained, gained, 1 - share - 2 * gained], 20_000).T
        passed.append(bounds(lost, won, rows) <= margin)
    proved = np.logical_and.accumulate(passed)  # (finalists, searches)
    wrong = proved[[drop >= 1.0 for drop in drops]].any(axis=0)
    assert wrong.mean() <= 0.06


def test_the_simulated_test_is_the_one_that_is_made() -> None:
    random, margin = np.random.default_rng(8), 0.01
    winners = []
    for _ in range(200):
        lost, gained, _ = random.multinomial(600, [0.018, 0.008, 0.974], 3).T
        entrants, baseline = [], np.ones(600, bool)
        baseline[: gained.max()] = False
        for number, (worse, better) in enumerate(zip(lost, gained, strict=True)):
            right = baseline.copy()
            right[:better] = True
            right[gained.max() : gained.max() + worse] = False
            entrants.append(Entrant(str(number), Right(right)))
        passed = np.logical_and.accumulate(bounds(lost, gained, 600) <= margin)
        winner = choose(Right(baseline), entrants, 1.0).winner
        assert winner == (str(passed.sum() - 1) if passed.any() else None)
        winners.append(winner)
    assert len(set(winners)) > 1


def test_the_last_one_that_is_proved_before_the_first_that_fails_wins() -> None:
    selection = choose(BEFORE, [entrant("a", 0), entrant("b", 9), entrant("c", 15), entrant("d", 30)], 1.0)
    assert verdicts(selection) == ["proved", "proved", "not proved", "missed"]
    assert (selection.winner, selection.nearest, selection.rows) == ("b", None, ROWS)
    assert [finalist.limited_by for finalist in selection.finalists] == [[], [], ["quality"], ["quality"]]
    assert selection.finalists[3].missed == ["-1.50 points, a drop of at most 1 allowed"]


def test_after_the_first_that_fails_nothing_is_proved() -> None:
    selection = choose(BEFORE, [entrant("safe", 2), entrant("unlucky", 16), entrant("small", 2)], 1.0)
    assert verdicts(selection) == ["proved", "not proved", "not proved"]
    small = selection.finalists[2]
    assert small.bound_pp is not None
    assert small.bound_pp <= 1.0
    assert (small.stopped_by, small.rows_needed) == ("unlucky", None)
    assert selection.winner == "safe"


def test_the_order_decides() -> None:
    first, second = entrant("a", 16), entrant("b", 2)
    assert choose(BEFORE, [first, second], 1.0).winner is None
    assert choose(BEFORE, [second, first], 1.0).winner == "b"


def test_figures_are_those_of_the_paired_drop() -> None:
    one = entrant("a", 16)
    (finalist,) = choose(BEFORE, [one], 1.0).finalists
    drop, bound = BEFORE.drop(one.outcome), drop_bound(BEFORE, one.outcome)
    assert drop.low is not None
    assert bound is not None
    assert finalist.drop_pp.value == 0.8
    assert finalist.drop_pp.low == pytest.approx(100 * drop.low)
    assert finalist.bound_pp == pytest.approx(100 * bound)
    assert finalist.rows_needed == rows_needed(BEFORE, one.outcome, 0.01)
    assert finalist.rows_needed is not None
    assert finalist.rows_needed > ROWS


def test_a_finalist_that_misses_another_limit_cannot_win_and_does_not_stop_the_test() -> None:
    missed = (("size", "90.90 MB, at most 20 allowed"),)
    selection = choose(BEFORE, [entrant("large", 0, missed=missed), entrant("small", 2)], 1.0)
    assert verdicts(selection) == ["missed", "proved"]
    assert selection.winner == "small"
    assert (selection.finalists[0].missed, selection.finalists[0].limited_by) == ([missed[0][1]], ["size"])
    unsure = choose(BEFORE, [entrant("large", 18, missed=missed), entrant("small", 2)], 1.0)
    assert unsure.winner == "small"


def test_without_a_winner_the_nearest_is_named_with_its_limits() -> None:
    slow = (("speed", "1.20x faster, at least 2x wanted"),)
    selection = choose(BEFORE, [entrant("slow", 0, missed=slow), entrant("near", 14), entrant("far", 16)], 1.0)
    assert verdicts(selection) == ["missed", "not proved", "not proved"]
    assert (selection.winner, selection.nearest) == (None, "near")
    alone = choose(BEFORE, [entrant("bad", 90), entrant("slow", 0, missed=slow), entrant("both", 90, missed=slow)], 1.0)
    assert alone.nearest == "slow"
    assert alone.finalists[2].limited_by == ["quality", "speed"]
    nothing = choose(BEFORE, [], 1.0)
    assert (nothing.winner, nothing.nearest, nothing.finalists) == (None, None, [])


def test_macro_f1_is_tested_by_its_own_bound() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 1500)
    said = np.where(random.random(1500) < 0.9, truth, (truth + 1) % 3)
    worse = np.where(random.random(1500) < 0.02, (truth + 2) % 3, said)
    before, same, after = (Classes(one, truth) for one in (said, said, worse))
    selection = choose(before, [Entrant("same", same), Entrant("worse", after)], 1.0)
    assert verdicts(selection) == ["proved", "missed"]
    bound = drop_bound(before, after)
    assert bound is not None
    assert selection.finalists[1].bound_pp == pytest.approx(100 * bound)


@pytest.mark.parametrize(
    ("goal", "kinds", "sentences"),
    [
        (None, [], []),
        (Goal(max_drop_pp=1), [], []),
        (Goal(min_speedup=4, min_end_to_end_speedup=2, max_size_mb=10), [], []),
        (Goal(min_speedup=4.1), ["speed"], ["4.00x faster, at least 4.1x wanted"]),
        (Goal(min_end_to_end_speedup=3), ["speed"], ["2.00x faster end to end, at least 3x wanted"]),
        (Goal(max_size_mb=9.9), ["size"], ["10.00 MB, at most 9.9 allowed"]),
    ],
)
def test_other_limits_are_held_against_the_figures_of_the_search(
    goal: Goal | None, kinds: list[str], sentences: list[str]
) -> None:
    baseline = Standing("teacher", "teacher", 0.9, 20.0, 24.0, 90_000_000)
    found = other_limits(goal, Standing("small", "layers", 0.9, 5.0, 12.0, 10_000_000), baseline)
    assert [limit for limit, _ in found] == kinds
    assert [sentence for _, sentence in found] == sentences
