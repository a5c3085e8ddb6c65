"""The sentences that a person decides by."""

import re

import pytest

from compress.measurement import Conditions, Estimate
from compress.report.markdown import render_markdown
from compress.report.model import Comparison
from compress.report.words import (
    change,
    headline,
    margin,
    quality_words,
    reasons,
    size_words,
    speed_words,
    times,
    warnings,
)
from tests.report.reports import sample_report


def comparison(**changes: object) -> Comparison:
    found = sample_report().rows[-1].versus_baseline
    assert found is not None
    return found.model_copy(update=changes)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("better", "better: accuracy rose"),
        ("no worse", "no worse than the margin: accuracy fell by less than 1 point, if at all"),
        ("worse, within the margin", "worse, within the margin: accuracy fell by less than 1 point"),
        ("worse", "worse: accuracy fell"),
        ("inconclusive", "inconclusive: 2,189 rows cannot tell whether accuracy fell"),
    ],
)
def test_quality_is_said_in_words(verdict: str, words: str) -> None:
    assert quality_words(comparison(quality_verdict=verdict, rows=2189), "accuracy") == words


@pytest.mark.parametrize(
    ("verdict", "speedup", "words"),
    [
        ("faster", (11.35, 11.1, 11.6), "11.3x (11.1 to 11.6) faster"),
        ("slower", (0.5, 0.4, 0.8), "2.00x (1.25 to 2.50) slower"),
        ("as fast", (1.01, 0.99, 1.03), "as fast: 1.01x (0.99 to 1.03)"),
        ("inconclusive", (1.1, 0.9, 1.3), "speed inconclusive: 1.10x (0.90 to 1.30), the processes cannot tell"),
    ],
)
def test_speed_is_said_in_words(verdict: str, speedup: tuple[float, float | None, float | None], words: str) -> None:
    value, low, high = speedup
    found = comparison(speed_verdict=verdict, speedup=Estimate(value=value, low=low, high=high))
    assert speed_words(found) == words


@pytest.mark.parametrize(("processes", "each"), [(4, "4 processes each"), (1, "1 process each")])
def test_too_few_processes_are_said_to_be_why_speed_is_inconclusive(processes: int, each: str) -> None:
    found = comparison(speed_verdict="inconclusive", speedup=Estimate(value=1.1), processes=processes)
    assert speed_words(found) == f"speed inconclusive: 1.10x, timed in {each}, 5 could tell"


def test_what_was_not_timed_together_is_not_compared() -> None:
    assert speed_words(comparison(speedup=None)) == "speed not compared: not timed on one machine"
    assert times(None) == ""


@pytest.mark.parametrize(
    ("smaller", "words"), [(6.72, "6.7x smaller"), (0.5, "2.0x larger"), (1.0, "same size"), (1.003, "same size")]
)
def test_size_is_said_in_words(smaller: float, words: str) -> None:
    assert size_words(comparison(smaller=smaller)) == words


@pytest.mark.parametrize(("points", "words"), [(1.0, "1 point"), (0.5, "0.5 points"), (2.0, "2 points")])
def test_a_margin_is_said_in_points(points: float, words: str) -> None:
    assert margin(points) == words


def test_the_verdict_begins_large_and_keeps_names_and_units_as_they_are() -> None:
    report = sample_report()
    goal = report.goal.model_copy(update={"met": False, "missed": ["13.58 MB, at most 5 allowed", "step Int8 <b>"]})
    said = render_markdown(report.model_copy(update={"goal": goal}))
    assert "**Goal missed: 13.58 MB, at most 5 allowed; step Int8 &lt;b>.**" in said


def test_the_headline_is_about_the_last_step_with_interval_and_verdict() -> None:
    (sentence,) = headline(sample_report())
    assert sentence.startswith("int8 against teacher: ")
    for part in ("x (", ") faster, ", ") end to end; 6.7x smaller; accuracy -", " points, "):
        assert part in sentence


def test_several_targets_are_named() -> None:
    sentences = headline(sample_report(targets=("cpu", "gpu")))
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "int8 on cpu against teacher",
        "int8 on gpu against teacher",
    ]


def test_a_bench_tells_of_every_folder() -> None:
    report = sample_report().model_copy(update={"recipe_text": None})
    assert [sentence.split()[0] for sentence in headline(report)] == ["student", "pruned", "onnx", "int8"]


def test_what_makes_figures_unsure_is_a_warning() -> None:
    report = sample_report()
    assert warnings(report) == []
    report.conditions["cpu"] = Conditions(harness_cpu_pct=2.0, competing_cores=0.8, steal_pct=3.0)
    report.rows[0].peak_share = 1.2
    assert warnings(report) == [
        "cpu: other processes kept 0.8 cores busy while it was measured",
        "cpu: the hypervisor took 3.0% of the time away",
        "cpu: the measuring itself used 2.0% of a core",
        "teacher on cpu reads faster than the machine's arithmetic peak allows (120%): the measurement is wrong",
    ]


def test_more_threads_than_cores_are_a_warning() -> None:
    report = sample_report()
    report.targets["cpu"] = {**report.targets["cpu"], "threads": 64}
    assert warnings(report) == ["cpu: 64 threads on 2 cores wait for each other"]


def test_markdown_says_the_verdict_the_figures_and_the_reasons() -> None:
    report = sample_report(failed={"pruned": "killed by signal 9: often for want of memory"})
    text = render_markdown(report)
    assert text.startswith("# r8-quickstart\n\n**Goal ")
    assert "- pruned on cpu failed: killed by signal 9: often for want of memory" in text
    assert reasons(report.rows) == ["pruned on cpu failed: killed by signal 9: often for want of memory"]
    found = report.rows[-1].versus_baseline
    assert found is not None
    assert f"| {-found.drop_pp.value:+z.2f} ({-found.drop_pp.high:+z.2f} to {-found.drop_pp.low:+z.2f}) |" in text
    assert "What each step bought" in text
    assert "What each step was worth" in text
    assert "Note: 3 test rows stand in train as well (overlap: allow)." in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.count("|") in {6, 12} for line in tables), "a table's rows have one number of columns"


def test_nothing_from_outside_means_anything_in_markdown() -> None:
    live = "x [a](http://b) ![c](d.png) `e` <i> *f* \x1b[31m\n# g"
    report = sample_report()
    notes = [live]
    targets = dict.fromkeys([live], *report.targets.values())
    conditions = dict.fromkeys([live], *report.conditions.values())
    goal = report.goal.model_copy(update={"met": False, "missed": [live]})
    for row in report.rows:
        row.target = live
    for found in report.ablations:
        found.step, found.reason, found.worth = live, live, None
    changed = {"notes": notes, "targets": targets, "conditions": conditions, "goal": goal, "baseline": live}
    text = render_markdown(report.model_copy(update=changed))
    assert text.count("\\[a\\](http://b)") >= 5
    outside = re.sub(r"`[^`\n]*`", "", text)  # the baseline is written as code
    assert "](http://b)" not in outside.replace("\\](", "")
    assert "<i>" not in outside
    assert "\x1b" not in text
    assert "\n# g" not in text


def test_markdown_takes_names_as_they_are() -> None:
    report = sample_report().model_copy(update={"recipe_text": None})
    for row in report.rows:
        row.step = f"<b>|{row.step}"
    text = render_markdown(report)
    assert "<b>" not in text
    assert "| &lt;b>\\|int8 |" in text


@pytest.mark.parametrize(
    ("drop", "told"),
    [
        (Estimate(value=0.14, low=0.02, high=0.26), "-0.14 (-0.26 to -0.02)"),
        (Estimate(value=-0.5, low=-1.0, high=0.001), "+0.50 (+0.00 to +1.00)"),
        (Estimate(value=0.0), "+0.00"),
    ],
)
def test_a_loss_has_a_minus_and_nothing_has_none(drop: Estimate, told: str) -> None:
    assert change(comparison(drop_pp=drop)) == told
