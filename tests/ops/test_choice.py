"""The choice among quantized models, by its rules."""

from typing import Any

import pytest

from compress.facts import Candidate
from compress.ops.choice import choose, verdict


def candidates(**figures: tuple[float, float, int]) -> list[Candidate]:
    """By name: drop in points, speed-up, size; the float model first."""
    told: dict[str, tuple[float, float, int]] = {"float": (0.0, 1.0, 100), **figures}
    return [
        Candidate(
            name=name,
            size_bytes=size,
            smaller=100 / size,
            choice_drop_pp=drop,
            drop_pp=drop,
            agreement=0.99,
            latency_ms=10 / speed,
            speedup=speed,
            speedup_low=speed * 0.97,
            speedup_high=speed * 1.03,
        )
        for name, (drop, speed, size) in told.items()
    ]


@pytest.mark.parametrize(
    ("figures", "prefer", "expected"),
    [
        ({"a": (0.1, 1.5, 25), "b": (0.1, 1.2, 14)}, "latency", "a"),
        ({"a": (0.1, 1.5, 25), "b": (0.1, 1.2, 14)}, "size", "b"),
        ({"a": (0.6, 1.5, 25), "b": (0.1, 1.2, 14)}, "latency", "b"),
        ({"a": (0.1, 1.50, 25), "b": (0.1, 1.49, 14)}, "latency", "b"),  # as fast, and smaller
        ({"a": (0.1, 1.02, 25), "b": (0.1, 0.7, 14)}, "latency", "float"),  # not surely faster
        ({"a": (0.6, 1.5, 25), "b": (0.7, 0.7, 14)}, "size", "float"),
        ({"a": (0.1, 1.5, 101)}, "size", "float"),  # larger
        ({}, "latency", "float"),
    ],
)
def test_the_best_that_keeps_the_budget_is_taken(figures: Any, prefer: Any, expected: str) -> None:
    found = candidates(**figures)
    best = choose(found, 0.5, prefer)
    assert best.name == expected
    assert [one.name for one in found if one.chosen] == [expected]
    assert all(one.reason for one in found if not one.chosen), "each of the others is told why not"


def test_what_surely_loses_too_much_of_other_rows_is_not_taken() -> None:
    found = candidates(a=(0.1, 1.5, 25), b=(0.1, 1.2, 14))
    found[1].drop_pp, found[1].drop_low_pp, found[1].drop_high_pp = 1.5, 0.6, 2.4
    assert choose(found, 0.5, "latency").name == "b"
    assert found[1].reason == "surely loses more than 0.5 points of other rows"


def test_the_verdict_tells_what_was_seen_on_other_rows_than_the_choice() -> None:
    (_, one) = candidates(a=(0.1, 1.5, 25))
    one.drop_low_pp, one.drop_high_pp = -0.4, 0.6
    told = verdict(one, [one], 0.5, "latency", 275)
    assert told == (
        "a: 1.50x [1.46, 1.54] as fast as float and 4.0x smaller, "
        "at -0.10 points [-0.60, +0.40] on 275 rows that it was not chosen by"
    )
    one.drop_pp = 0.7
    assert verdict(one, [one], 0.5, "latency", 275).endswith(
        ": a loss of more than 0.5, though not on the rows that it was chosen by"
    )
