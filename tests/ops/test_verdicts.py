"""What intervals allow to be said, and how often they hold the truth."""

import itertools
from typing import Any

import numpy as np
import pytest

from benchmarks.instrument.simulated import KINDS, ROUNDS, simulate
from compress.measurement import Estimate, Timings
from compress.ops import statistics

Array = np.ndarray[Any, Any]


def between(low: float | None, high: float | None) -> Estimate:
    return Estimate(value=1.0, low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.0101, 3, "faster"),
        (1.01, 3, "inconclusive"),  # a process's memory layout can do as much
        (1.01, 1.05, "as fast"),
        (1 / 1.05, 1.05, "as fast"),
        (1.0, 1.0, "as fast"),
        (1 / 1.05, 1.0501, "inconclusive"),
        (0.9523, 1.05, "inconclusive"),
        (0.9523, 1 / 1.01, "inconclusive"),
        (1 / 1.05, 1 / 1.01, "as fast"),
        (0.5, 1 / 1.01, "inconclusive"),
        (0.5, 0.99, "slower"),
        (0.98, 0.99, "slower"),
        (1.02, 1.03, "faster"),  # a small gain that is sure is a gain
        (0.5, 2, "inconclusive"),
        (None, None, "inconclusive"),
    ],
)
def test_the_verdict_on_a_speedup_at_every_boundary(low: float | None, high: float | None, verdict: str) -> None:
    assert statistics.speed_verdict(between(low, high), 5) == verdict
    assert statistics.speed_verdict(between(low, high), 4) == "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-3, -0.001, "better"),
        (-3, 0, "no worse"),
        (-3, 1, "no worse"),
        (0, 1, "no worse"),
        (0.001, 1, "worse, within the margin"),  # surely some loss, but less than the margin
        (0.5, 1, "worse, within the margin"),
        (-3, 1.001, "inconclusive"),
        (0, 1.001, "inconclusive"),
        (0.001, 1.001, "worse"),
        (2, 3, "worse"),
        (None, None, "inconclusive"),
    ],
)
def test_the_verdict_on_a_drop_at_every_boundary(low: float | None, high: float | None, verdict: str) -> None:
    assert statistics.quality_verdict(between(low, high), margin=1) == verdict


def test_without_a_margin_only_no_loss_at_all_is_no_worse() -> None:
    assert statistics.quality_verdict(between(-1, 0), margin=0) == "no worse"
    assert statistics.quality_verdict(between(-1, 0.001), margin=0) == "inconclusive"


def test_swapped_intervals_give_swapped_verdicts() -> None:
    opposite = {"faster": "slower", "slower": "faster", "as fast": "as fast", "inconclusive": "inconclusive"}
    ends = (0.5, 0.94, 0.97, 0.985, 0.995, 1.005, 1.015, 1.03, 1.06, 2.0)
    pairs = list(itertools.combinations(ends, 2))
    found = [statistics.speed_verdict(between(low, high), 5) for low, high in pairs]
    swapped = [statistics.speed_verdict(between(1 / high, 1 / low), 5) for low, high in pairs]
    assert swapped == [opposite[verdict] for verdict in found]
    assert set(found) == set(opposite)


@pytest.mark.parametrize("process_of_round", [[], [0] * 6, [0, 0, 0, 1, 1, 1]])
@pytest.mark.parametrize("paired", [True, False])
def test_fewer_than_three_processes_give_a_value_without_an_interval(process_of_round: list[int], paired: bool) -> None:
    base, other = Timings([[4.0, 6.0]] * 6, process_of_round), Timings([[1.0, 3.0]] * 6, process_of_round)
    found = statistics.speedup(base, other, paired=paired)
    assert found == Estimate(value=2.5)
    assert statistics.speed_verdict(found, base.processes) == "inconclusive"


def test_the_side_with_fewer_processes_decides_whether_there_is_an_interval() -> None:
    base = Timings([[2.0]] * 9, range(9))
    two, three = (Timings([[1.0]] * 4, of) for of in ([0, 0, 1, 1], [0, 0, 1, 2]))
    assert statistics.speedup(base, two, paired=False) == Estimate(value=2.0)
    assert statistics.speedup(base, three, paired=False) == Estimate(value=2.0, low=2.0, high=2.0)


def test_models_that_agree_on_all_rows_lose_nothing_but_are_not_called_equal() -> None:
    highs = []
    for rows in (10, 100, 1000, 10_000):
        right = np.arange(rows) % 5 > 0
        found = statistics.accuracy_drop(right, right)
        assert found.value == 0
        assert found.low is not None
        assert found.high is not None
        assert found.low == pytest.approx(-found.high, rel=1e-9)
        highs.append(found.high)
    assert highs == sorted(highs, reverse=True)
    # two rows that differ among rows + 2: 1.96 x sqrt(2 / (rows + 2) / (rows + 1))
    assert highs == pytest.approx([0.2413, 0.02731, 0.0027675, 0.00027714], rel=1e-3)
    assert statistics.quality_verdict(found, margin=0.001) == "no worse"
    assert statistics.quality_verdict(found, margin=0.0001) == "inconclusive"


@pytest.mark.parametrize(("lost", "gained"), [(0.02, 0.02), (0.03, 0.01), (0.04, 0.0)])
def test_the_interval_of_a_drop_holds_the_true_one(lost: float, gained: float) -> None:
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        drawn = random.random(300)  # a row is lost, gained, right for both, or wrong for both
        base_right = (drawn < lost) | (drawn > 0.5)
        other_right = ((drawn >= lost) & (drawn < lost + gained)) | (drawn > 0.5)
        found = statistics.accuracy_drop(base_right, other_right)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= lost - gained <= found.high
    assert covered >= 0.93 * 400


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_of_a_speedup_holds_the_true_one(kind: str, rounds: int) -> None:
    found = simulate(kind, rounds, trials=2000)
    assert found.covered_pct >= 93
    assert found.false_calls_pct <= 5
    if rounds >= 5:
        assert found.processes == 5
        assert found.found_pct >= (99 if kind in SURE else 10)
    else:
        assert (found.processes, found.false_calls_pct, found.found_pct) == (4, 0, 0)  # too few for a verdict


SURE = ("calls alone", "constant of a process, 1%", "drift of both", "bursts of both")
"""Noise under which a difference of 10% is found nearly always."""


def test_one_process_would_be_too_sure() -> None:
    """The simulation shows what processes are for: their rounds taken for independent miss the truth."""
    rounds = np.arange(20)
    random = np.random.default_rng(0)
    noise = KINDS["constant of a process, 1%"](random, 2000, np.zeros(20, int))[..., None]
    base, other = np.exp(noise + random.normal(0, 0.05, (2, 2000, 20, 10)))
    _, low, high = statistics.speedups(base, other, rounds, rounds)
    assert ((low <= 1) & (high >= 1)).mean() < 0.7


def test_an_unpaired_speedup_holds_the_true_one() -> None:
    random = np.random.default_rng(11)
    own = random.normal(0, 0.05, (2, 2000, 5, 1, 1)) + random.normal(0, 0.05, (2, 2000, 5, 4, 3))
    base, other = np.exp(own.reshape(2, 2000, 20, 3))
    numbers = np.arange(20) // 4
    _, low, high = statistics.speedups(3 * base, 2 * other, numbers, numbers, paired=False)
    assert ((low <= 1.5) & (high >= 1.5)).mean() >= 0.93


def test_pairing_rounds_takes_the_machines_mood_out_of_the_interval() -> None:
    random = np.random.default_rng(13)
    moods = random.lognormal(0, 0.1, (20, 1))
    base, other = (Timings(side, np.arange(20) // 4) for side in random.lognormal(0, 0.01, (2, 20, 5)) * moods)
    paired, unpaired = (statistics.speedup(base, other, paired=paired) for paired in (True, False))
    widths = [(found.high or 0) - (found.low or 0) for found in (paired, unpaired)]
    assert paired.value == unpaired.value
    assert 0 < widths[0] < widths[1] / 3
