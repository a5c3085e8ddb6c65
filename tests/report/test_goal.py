"""The goal is judged by figures, and doubted by intervals."""

import pytest

from compress.measurement import Estimate
from compress.recipe.schema import Goal
from compress.report.goal import MARGIN_PP, judge, margin_pp
from compress.report.model import Comparison, Row
from compress.report.words import verdict
from tests.report.reports import sample_report

ROW = Row(
    step="int8",
    stage="s",
    artifact="a",
    measured_as="onnx",
    target="cpu",
    status="measured",
    quality=Estimate(value=0.9),
    size_bytes=1_000_000,
)


def against(speedup: Estimate | None = None) -> Comparison:
    return Comparison(
        against="teacher",
        speedup=speedup or Estimate(value=5.5, low=5.0, high=6.0),
        end_to_end=Estimate(value=4.0, low=3.0, high=5.0),
        speed_verdict="faster",
        drop_pp=Estimate(value=2.5, low=1.0, high=4.0),
        margin_pp=1.0,
        quality_verdict="worse",
        mcnemar_p=0.01,
        rows=100,
        agreement=0.9,
        lost=3,
        gained=1,
        smaller=8.0,
    )


@pytest.mark.parametrize(
    ("limits", "margin"),
    [((), MARGIN_PP), ((None, None), MARGIN_PP), ((0.0, 2.0), 0.0), ((None, 0.0, 2.0), 0.0), ((3.0, None), 3.0)],
)
def test_the_margin_is_the_first_limit_that_is_given_and_may_be_zero(
    limits: tuple[float | None, ...], margin: float
) -> None:
    assert margin_pp(*limits) == margin


@pytest.mark.parametrize(
    ("goal", "missed", "doubts"),
    [
        (Goal(max_drop_pp=4, min_speedup=5, max_size_mb=1), [], []),
        (Goal(max_drop_pp=2.5), [], ["the change may be as low as -4.00 points, a drop of at most 2.5 allowed"]),
        (Goal(max_drop_pp=2.0), ["-2.50 points, a drop of at most 2 allowed"], []),
        (Goal(min_speedup=5.5), [], ["the speed-up may be as small as 5.00x, at least 5.5x wanted"]),
        (Goal(min_speedup=6), ["5.50x faster, at least 6x wanted"], []),
        (Goal(min_end_to_end_speedup=3), [], []),
        (Goal(min_end_to_end_speedup=4), [], ["the speed-up end to end may be as small as 3.00x, at least 4x wanted"]),
        (Goal(min_speedup=5, min_end_to_end_speedup=5), ["4.00x faster end to end, at least 5x wanted"], []),
        (Goal(max_size_mb=0.5), ["1.00 MB, at most 0.5 allowed"], []),
    ],
)
def test_the_goal_is_judged_and_doubted(goal: Goal, missed: list[str], doubts: list[str]) -> None:
    found = judge(goal, ROW, against())
    assert (found.missed, found.doubts, found.met) == (missed, doubts, not missed)


def test_an_interval_that_is_not_known_is_a_doubt() -> None:
    found = judge(Goal(min_speedup=2), ROW, against(Estimate(value=5.5)))
    assert (found.met, found.doubts) == (True, ["the speed-up may be as small as unknown, at least 2x wanted"])


def test_a_speed_that_was_not_compared_misses_its_goal() -> None:
    compared = against().model_copy(update={"speedup": None})
    assert judge(Goal(min_speedup=1), ROW, compared).missed == ["speed not compared, at least 1x wanted"]
    untimed, sentence = against().model_copy(update={"end_to_end": None}), "speed end to end not compared"
    assert judge(Goal(min_end_to_end_speedup=1), ROW, untimed).missed == [f"{sentence}, at least 1x wanted"]


def test_a_last_step_that_was_not_measured_misses_the_goal() -> None:
    lost = ROW.model_copy(update={"quality": None, "reason": "it died"})
    assert judge(Goal(min_speedup=1), lost, None).missed == ["the last step was not measured: it died"]
    assert judge(Goal(min_speedup=1), None, None).missed == ["the last step was not measured"]


def test_the_baseline_itself_has_no_drop_and_no_speedup() -> None:
    row = ROW.model_copy(update={"is_baseline": True})
    assert judge(Goal(max_drop_pp=0, min_speedup=1, min_end_to_end_speedup=1), row, None).met is True
    assert judge(Goal(min_speedup=1.5), row, None).missed == ["1.00x faster, at least 1.5x wanted"]


def test_without_a_goal_there_is_no_verdict() -> None:
    found = judge(None, ROW, against())
    assert (found.met, found.missed) == (None, [])
    assert verdict(sample_report(goal=None)) == "no goal is set"


def test_the_verdict_says_what_is_missed_or_in_doubt() -> None:
    assert verdict(sample_report(goal=Goal(min_speedup=1000))).startswith("goal missed: ")
    tight = sample_report()
    found = tight.rows[-1].versus_baseline
    assert found is not None
    doubted = sample_report(goal=Goal(max_drop_pp=found.drop_pp.value + 0.01))
    assert verdict(doubted).startswith("goal met, in doubt: the change may be as low as -")


def test_what_no_baseline_was_measured_for_is_missed() -> None:
    found = judge(Goal(max_drop_pp=4, min_speedup=1, max_size_mb=1), ROW, None)
    assert found.missed == [
        "quality not compared, a drop of at most 4 allowed",
        "speed not compared, at least 1x wanted",
    ]
