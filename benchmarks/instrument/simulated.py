"""What the interval of a speed-up holds under noise that is known, and how often equal models are called unequal."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from compress.measurement import Estimate
from compress.ops.statistics import speed_verdict, speedups
from compress.recipe.schema import BenchSpec

Array = np.ndarray[Any, Any]
ROUNDS = (20, 10, 4)
SAMPLES = 10
SAMPLE_NOISE = 0.05
"""Of each call, as the standard deviation of its logarithm; so are the figures below."""
PROCESS_NOISE = 0.01
OWN_NOISE, OWN_CORRELATION = 0.05, 0.5
SHARED_STEP = 0.03
SLOW_LAYOUT = 0.03
BURST = np.log(2)
BURSTS = 0.1
"""Share of rounds in which all takes twice as long."""
GAIN = 1.1
"""A real difference, to learn how often it is found."""


@dataclass(frozen=True)
class Simulated:
    """What came of many trials of two models.

    Attributes:
        kind: of the noise, one of `KINDS`.
        rounds: in as many processes as the instrument takes for them.
        covered_pct: trials whose interval holds the true ratio.
        false_calls_pct: trials in which equal models are called faster or slower.
        found_pct: trials in which a model that is 10% faster is called faster.
        width_pct: median width of the interval.
    """

    kind: str
    rounds: int
    processes: int
    covered_pct: float
    false_calls_pct: float
    found_pct: float
    width_pct: float


def simulate(kind: str, rounds: int, trials: int, seed: int = 0) -> Simulated:
    """Measure two equal models `trials` times, with noise of one kind, and once more with one of them 10% faster."""
    process_of_round = np.array(BenchSpec(rounds=rounds).process_of_round)
    random = np.random.default_rng([seed, rounds, list(KINDS).index(kind)])
    noise = random.normal(0, SAMPLE_NOISE, (2, trials, rounds, SAMPLES))
    noise += KINDS[kind](random, trials, process_of_round)[..., None]
    base, other = np.exp(noise)
    processes = len(set(process_of_round.tolist()))
    value, low, high = speedups(base, other, process_of_round, process_of_round)
    called = _verdicts(value, low, high, processes)
    faster = _verdicts(*speedups(base * GAIN, other, process_of_round, process_of_round), processes)
    return Simulated(
        kind=kind,
        rounds=rounds,
        processes=processes,
        covered_pct=100 * float(((low <= 1) & (high >= 1)).mean()),
        false_calls_pct=100 * float(np.isin(called, ["faster", "slower"]).mean()),
        found_pct=100 * float((faster == "faster").mean()),
        width_pct=100 * float(np.median(high - low)),
    )


def simulate_all(trials: int) -> list[dict[str, Any]]:
    """Every kind with every number of rounds."""
    return [asdict(simulate(kind, rounds, trials)) for kind in KINDS for rounds in ROUNDS]


def _verdicts(value: Array, low: Array, high: Array, processes: int) -> Array:
    found = (
        Estimate(value=one[0], low=one[1], high=one[2]) for one in zip(*map(_floats, (value, low, high)), strict=True)
    )
    return np.array([speed_verdict(one, processes) for one in found])


def _floats(values: Array) -> list[float]:
    found: list[float] = values.tolist()
    return found


def _none(random: np.random.Generator, trials: int, processes: Array) -> Array:
    del random
    return np.zeros((2, trials, len(processes)))


def _constant(random: np.random.Generator, trials: int, processes: Array) -> Array:
    """Each process has a speed of its own."""
    return random.normal(0, PROCESS_NOISE, (2, trials, len(processes)))[..., processes]


def _layout(random: np.random.Generator, trials: int, processes: Array) -> Array:
    """Each process lies well in memory, or badly."""
    return SLOW_LAYOUT * (random.random((2, trials, len(processes))) < 0.5)[..., processes]


def _correlated(random: np.random.Generator, trials: int, processes: Array) -> Array:
    """Rounds of one process follow each other, AR(1); another process begins anew."""
    noise = random.normal(0, OWN_NOISE, (2, trials, len(processes)))
    for turn in range(1, len(processes)):
        if processes[turn] == processes[turn - 1]:
            fresh = np.sqrt(1 - OWN_CORRELATION**2) * noise[..., turn]
            noise[..., turn] = OWN_CORRELATION * noise[..., turn - 1] + fresh
    return noise


def _drift(random: np.random.Generator, trials: int, processes: Array) -> Array:
    """The machine grows slower and faster, from round to round, for both alike."""
    steps = random.normal(0, SHARED_STEP, (trials, len(processes)))
    return np.broadcast_to(steps.cumsum(axis=-1), (2, trials, len(processes)))


def _bursts_of_all(random: np.random.Generator, trials: int, processes: Array) -> Array:
    """Some rounds take twice as long, for both."""
    return np.broadcast_to(BURST * (random.random((trials, len(processes))) < BURSTS), (2, trials, len(processes)))


def _bursts_of_either(random: np.random.Generator, trials: int, processes: Array) -> Array:
    """Some turns take twice as long, of either model."""
    noise: Array = BURST * (random.random((2, trials, len(processes))) < BURSTS)
    return noise


def _bursts_of_one(random: np.random.Generator, trials: int, processes: Array) -> Array:
    """Some turns of one model take twice as long."""
    noise = _bursts_of_either(random, trials, processes)
    noise[1] = 0
    return noise


KINDS: dict[str, Callable[[np.random.Generator, int, Array], Array]] = {
    "calls alone": _none,
    "constant of a process, 1%": _constant,
    "slow half of the processes, 3%": _layout,
    "AR(1) of a process, 5%": _correlated,
    "drift of both": _drift,
    "bursts of both": _bursts_of_all,
    "bursts of either": _bursts_of_either,
    "bursts of one": _bursts_of_one,
}
"""Noise by its name: (random, trials, process of each round) -> (2, trials, rounds) of log factors."""
