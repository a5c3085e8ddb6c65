"""Intervals and p values against scipy, closed forms and published examples."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compress.measurement import Estimate, Timings
from compress.ops import statistics

Array = np.ndarray[Any, Any]
seeded = settings(derandomize=True, deadline=None)


def same(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def right_of(both: int, lost: int, gained: int, neither: int) -> tuple[Array, Array]:
    """Which rows a baseline and another model have right, by how often each case comes."""
    base = np.repeat([True, True, False, False], [both, lost, gained, neither])
    other = np.repeat([True, False, True, False], [both, lost, gained, neither])
    return base, other


def draw_rounds(seed: int, rounds: int, samples: int, speed: float = 1.0) -> Array:
    """Log-normal latencies whose rounds have moods of their own: (rounds, samples)."""
    random = np.random.default_rng(seed)
    return 5 / speed * random.lognormal(0, 0.1, (rounds, 1)) * random.lognormal(0, 0.05, (rounds, samples))


def bounds(found: Estimate) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"),
    [  # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_an_accuracy_is_wilsons(right: int, rows: int, low: float, high: float) -> None:
    found = statistics.accuracy(right, rows)
    assert found.value == right / rows
    assert bounds(found) == pytest.approx((low, high), abs=5e-5)
    quantile, share = stats.norm.ppf(0.975), right / rows  # the two roots, as Wilson 1927 writes them
    scale = 1 + quantile**2 / rows
    middle = (share + quantile**2 / (2 * rows)) / scale
    half = quantile * math.sqrt(share * (1 - share) / rows + quantile**2 / (4 * rows**2)) / scale
    assert bounds(found) == same((middle - half, middle + half))


@seeded
@given(st.integers(1, 3000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_wilsons_interval_solves_its_own_equation_and_holds_the_value(counted: tuple[int, int]) -> None:
    right, rows = counted
    found = statistics.accuracy(right, rows)
    low, high = bounds(found)
    assert 0 <= low <= found.value <= high <= 1
    quantile = stats.norm.ppf(0.975)
    for bound in (low, high):  # a bound is a rate whose own normal test just accepts what was seen
        assert abs(found.value - bound) == pytest.approx(quantile * math.sqrt(bound * (1 - bound) / rows), abs=1e-7)


@pytest.mark.parametrize(
    ("lost", "gained", "expected"),
    [
        (1, 7, 18 / 256),  # Fagerland et al. 2013 (BMC Med Res Methodol 13:91), table 1: 0.070
        (7, 1, 18 / 256),
        (3, 3, 1.0),
        (0, 0, 1.0),
        (0, 5, 2 / 32),
    ],
)
def test_mcnemars_exact_test_on_worked_examples(lost: int, gained: int, expected: float) -> None:
    assert statistics.sign_test_p(lost, gained) == same(expected)


@seeded
@given(st.integers(0, 200), st.integers(1, 200))
def test_mcnemars_exact_test_is_the_binomial_one_of_the_rows_that_differ(lost: int, gained: int) -> None:
    found = statistics.sign_test_p(lost, gained)
    fewer, differing = min(lost, gained), lost + gained
    tail = sum(math.comb(differing, count) for count in range(fewer + 1))  # of 2**differing equally likely cases
    assert found == same(min(1.0, float(Fraction(2 * tail, 2**differing))))
    assert found == statistics.sign_test_p(gained, lost)


TABLES = [(900, 30, 10, 60), (100, 0, 0, 0), (17, 3, 0, 0), (0, 0, 5, 5), (250, 12, 12, 26)]


@pytest.mark.parametrize("table", TABLES)
def test_the_interval_of_a_drop_is_a_normal_one_with_a_row_lost_and_a_row_gained(
    table: tuple[int, int, int, int],
) -> None:
    _, lost, gained, _ = table
    rows = sum(table)
    found = statistics.accuracy_drop(*right_of(*table))
    assert found.value == same((lost - gained) / rows)
    mean = (lost - gained) / (rows + 2)  # of rows + 2 differences, lost + 1 of them 1 and gained + 1 of them -1
    variance = (lost + gained + 2) / (rows + 2) - mean**2
    half = stats.norm.ppf(0.975) * math.sqrt(variance / (rows + 1))
    assert bounds(found) == same((mean - half, mean + half))
    published = stats.norm.ppf(0.975) * math.sqrt(variance / (rows + 2))  # Bonett and Price divide by rows + 2
    assert half == pytest.approx(published, rel=1 / rows)


def pooled_median(samples: Array, chosen: Array) -> float:
    """The median over the samples of these rounds, written slowly."""
    pool = sorted(float(sample) for index in chosen for sample in samples[index])
    middle = len(pool) // 2
    return pool[middle] if len(pool) % 2 else (pool[middle - 1] + pool[middle]) / 2


def timings(samples: Array, process_of_round: Sequence[int]) -> Timings:
    return Timings(samples.tolist(), list(process_of_round))


@pytest.mark.parametrize("process_of_round", [[0, 1, 2], [0, 0, 0, 1, 1, 2, 2, 3, 3, 3], [4, 7, 9, 9, 4, 7, 1]])
def test_the_interval_of_a_paired_speedup_is_a_t_interval_over_processes(process_of_round: list[int]) -> None:
    rounds = len(process_of_round)
    base, other = draw_rounds(1, rounds, 4), draw_rounds(2, rounds, 3, speed=1.5)
    found = statistics.speedup(timings(base, process_of_round), timings(other, process_of_round))
    everything = np.arange(rounds)
    assert found.value == same(pooled_median(base, everything) / pooled_median(other, everything))
    by_process = []
    for process in set(process_of_round):
        turns = [turn for turn in range(rounds) if process_of_round[turn] == process]
        ratios = [math.log(pooled_median(base, [turn]) / pooled_median(other, [turn])) for turn in turns]
        by_process.append(np.median(ratios))
    expected = np.exp(stats.ttest_1samp(by_process, 0).confidence_interval(0.95))
    assert bounds(found) == same((min(expected[0], found.value), max(expected[1], found.value)))


def test_the_interval_of_an_unpaired_speedup_is_welchs_over_each_sides_processes() -> None:
    base, other = draw_rounds(1, 6, 4), draw_rounds(2, 4, 3, speed=1.5)
    numbers = [0, 1, 1, 2, 3, 3], [0, 1, 2, 2]
    found = statistics.speedup(timings(base, numbers[0]), timings(other, numbers[1]), paired=False)
    sides = [
        [
            np.median([math.log(pooled_median(samples, [turn])) for turn in range(len(of)) if of[turn] == process])
            for process in range(max(of) + 1)
        ]
        for samples, of in zip((base, other), numbers, strict=True)
    ]
    expected = np.exp(stats.ttest_ind(*sides, equal_var=False).confidence_interval(0.95))
    assert found.value == same(pooled_median(base, np.arange(6)) / pooled_median(other, np.arange(4)))
    assert bounds(found) == same((min(expected[0], found.value), max(expected[1], found.value)))


@pytest.mark.parametrize("paired", [True, False])
def test_the_speedup_of_all_calls_is_the_ratio_of_their_sums_over_processes(paired: bool) -> None:
    processes = [0, 0, 1, 1, 1, 2, 3]
    base, other = draw_rounds(1, 7, 5), draw_rounds(2, 7, 5, speed=1.5)
    found = statistics.total_speedup(timings(base, processes), timings(other, processes), paired=paired)
    assert found.value == same(base.sum() / other.sum())
    first, second = ([math.log(side[np.equal(processes, one)].mean()) for one in range(4)] for side in (base, other))
    test = stats.ttest_rel(first, second) if paired else stats.ttest_ind(first, second, equal_var=False)
    expected = np.exp(test.confidence_interval(0.95))
    assert bounds(found) == same((min(expected[0], found.value), max(expected[1], found.value)))


def test_the_speedup_of_all_calls_of_one_process_has_no_interval() -> None:
    found = statistics.total_speedup(timings(draw_rounds(1, 3, 4), []), timings(draw_rounds(2, 3, 4), []))
    assert (found.low, found.high) == (None, None)


def test_an_interval_that_the_ratio_of_all_samples_lies_beside_is_extended_to_it() -> None:
    base = np.array([[1.0], [1.0], [1.0], [9.0], [1.0], [9.0]])  # processes: two of 1 ms, one of 1 and 9
    other = np.array([[1.0], [1.0], [1.0], [9.0], [4.0], [4.0]])
    found = statistics.speedup(timings(base, [0, 0, 1, 1, 2, 2]), timings(other, [0, 0, 1, 1, 2, 2]))
    assert found.value == 1 / 2.5
    middle, error = np.log([1, 1, 0.75]).mean(), stats.sem(np.log([1, 1, 0.75]))
    assert bounds(found) == same((0.4, math.exp(middle + stats.t.ppf(0.975, 2) * error)))


def test_many_measurements_at_once_are_each_what_they_are_alone() -> None:
    numbers = np.array([0, 0, 1, 2, 2])
    base, other = (np.stack([draw_rounds(seed + trial, 5, 3) for trial in range(4)]) for seed in (0, 10))
    for paired in (True, False):
        many = np.stack(statistics.speedups(base, other, numbers, numbers, paired=paired), axis=-1)
        for one, first, second in zip(many, base, other, strict=True):
            alone = statistics.speedup(timings(first, numbers), timings(second, numbers), paired=paired)
            assert one == same([alone.value, *bounds(alone)])


def test_rounds_of_different_processes_are_no_pairs() -> None:
    samples = draw_rounds(1, 4, 2)
    with pytest.raises(ValueError, match="no pairs"):
        statistics.speedup(timings(samples, [0, 0, 1, 2]), timings(samples, [0, 1, 1, 2]))


def slow_calibration_error(confidences: list[float], right: list[bool]) -> float:
    """Guo et al. 2017, equation 3, bin by bin."""
    total = 0.0
    for number in range(15):
        inside = [
            index
            for index, confidence in enumerate(confidences)
            if number / 15 <= confidence < (number + 1) / 15 or (number == 14 and confidence == 1)
        ]
        if inside:
            accuracy = sum(right[index] for index in inside) / len(inside)
            confidence = sum(confidences[index] for index in inside) / len(inside)
            total += len(inside) / len(confidences) * abs(accuracy - confidence)
    return total


AWAY_FROM_EDGES = st.one_of(st.integers(0, 999).map(lambda half: (2 * half + 1) / 2000), st.sampled_from([0.0, 1.0]))


@seeded
@given(st.lists(st.tuples(AWAY_FROM_EDGES, st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_is_that_of_a_slow_loop(rows: list[tuple[float, bool]]) -> None:
    confidences, right = [list(column) for column in zip(*rows, strict=True)]
    found = statistics.calibration_error(np.array(confidences), np.array(right))
    assert found == same(slow_calibration_error(confidences, right))
    assert 0 <= found <= 1


def test_the_calibration_error_of_a_worked_example() -> None:
    # two bins: 0.9 and 0.92, one of them right (|0.5 - 0.91|); 0.5 twice, one right (0)
    confidences = np.array([0.9, 0.92, 0.5, 0.5])
    assert statistics.calibration_error(confidences, np.array([True, False, True, False])) == same(0.205)
    assert statistics.calibration_error(np.ones(4), np.ones(4, bool)) == 0
    assert statistics.calibration_error(np.ones(4), np.zeros(4, bool)) == 1


ROUNDS = st.integers(0, 2**32 - 1).map(lambda seed: draw_rounds(seed, 3 + seed % 6, 1 + seed % 4))


def in_processes(samples: Array) -> Timings:
    """The rounds spread over three processes."""
    return timings(samples, [turn * 3 // len(samples) for turn in range(len(samples))])


@settings(seeded, max_examples=25)
@given(ROUNDS)
def test_a_speedup_of_samples_against_themselves_is_one(samples: Array) -> None:
    own = in_processes(samples)
    assert statistics.speedup(own, own) == Estimate(value=1, low=1, high=1)
    low, high = bounds(statistics.speedup(own, own, paired=False))
    assert low <= 1 <= high


@settings(seeded, max_examples=25)
@given(ROUNDS, st.floats(0.01, 100), st.booleans(), st.integers(0, 1000))
def test_a_speedup_holds_its_value_scales_and_turns_round(samples: Array, factor: float, paired: bool, by: int) -> None:
    own, other = in_processes(samples), in_processes(draw_rounds(by, *samples.shape, speed=2.0))
    found = statistics.speedup(own, other, paired=paired)
    low, high = bounds(found)
    assert low <= found.value <= high
    slower = statistics.speedup(in_processes(samples * factor), other, paired=paired)
    assert (slower.value, *bounds(slower)) == pytest.approx(
        (found.value * factor, low * factor, high * factor), rel=1e-9
    )
    swapped = statistics.speedup(other, own, paired=paired)
    assert (swapped.value, *bounds(swapped)) == pytest.approx((1 / found.value, 1 / high, 1 / low), rel=1e-9)
