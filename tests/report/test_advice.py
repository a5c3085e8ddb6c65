"""What the page says beyond the figures: what is taken for what, what texts cost, and what to try next."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from compress.recipe.schema import Goal
from compress.report.confusion import MOST, PAIRS, confusion
from compress.report.cost import PRICE, million_words
from compress.report.goal import judge
from compress.report.model import Report
from compress.report.next_steps import next_steps
from compress.report.page_cells import million_cell, other_score
from tests.report.reports import STEPS, sample_report


def test_the_confusion_counts_every_row_once() -> None:
    report = sample_report()
    last, test = report.rows[-1], report.test
    found = confusion(last, report.rows[0], test)
    counts = np.array([[cell.rows for cell in cells] for _, _, cells in found.lines])
    assert counts.tolist() == confusion_matrix(test.truth, last.predictions).tolist()
    assert [rows for _, rows, _ in found.lines] == np.bincount(test.truth).tolist()
    most = found.mistakes[0]
    off = counts * (1 - np.eye(len(counts), dtype=int))
    assert most.rows == off.max()
    before = confusion_matrix(test.truth, report.rows[0].predictions)
    assert most.before == before[test.labels.index(most.truth), test.labels.index(most.taken_for)]
    assert [cell.is_right for cell in found.lines[1][2]][:3] == [False, True, False]
    assert max(cell.shade for _, _, cells in found.lines for cell in cells) <= 50


def test_of_many_classes_the_most_frequent_mistakes_are_told() -> None:
    report = sample_report(labels=[f"class {number}" for number in range(MOST + 20)])
    found = confusion(report.rows[-1], None, report.test)
    assert (list(found.labels), list(found.lines)) == ([], [])
    assert 0 < len(found.mistakes) <= PAIRS
    assert found.mistakes[0].before is None


def test_macro_f1_stands_beside_accuracy_and_accuracy_beside_macro_f1() -> None:
    report = sample_report()
    row, truth = report.rows[-1], report.test.truth
    wanted = f1_score(truth, row.predictions, labels=sorted(set(truth)), average="macro")
    assert other_score(row, "f1_macro", report.test).text == f"{100 * wanted:.2f}%"
    assert row.quality is not None
    assert other_score(row, "accuracy", report.test).text == f"{100 * row.quality.value:.2f}%"


def test_a_million_texts_are_told_in_hours_of_cores_and_at_a_price() -> None:
    report = sample_report()
    row, spec = report.rows[-1], report.targets["cpu"]
    hours = row.hours_for_a_million
    assert hours is not None
    cell = million_cell(row, spec)
    assert cell.text == f"{hours:.3f} h"
    assert cell.interval == f"{2 * hours:.3f} core-h, {2 * PRICE * hours:.2f} USD"
    assert million_cell(row, spec | {"device": "cuda"}).interval == "", "a GPU's hours are not told in cores"
    told = million_words(report, "cpu")
    assert told.index("int8 ") < told.index("teacher ")
    assert million_words(sample_report(steps=("teacher",)), "cpu") == ""


def advised(goal: Goal, steps: tuple[str, ...] = STEPS, **changes: object) -> list[str]:
    """What is said under a goal, `WHAT because WHY`."""
    report: Report = sample_report(steps=steps, goal=goal)
    last = report.rows[-1]
    for name, value in changes.items():
        setattr(last, name, value)
    report.goal = judge(goal, last, last.versus_baseline)
    return [f"{step.what} because {step.because}" for step in next_steps(report)]


def test_a_goal_that_is_met_needs_nothing() -> None:
    assert advised(Goal(max_size_mb=20, min_speedup=8)) == []
    assert next_steps(sample_report(goal=None)) == []
    assert next_steps(sample_report(failed={"int8": "it died"})) == []


@pytest.mark.parametrize(
    ("goal", "steps", "changes", "wanted"),
    [
        (Goal(max_drop_pp=0.5), STEPS, {}, ["in `pruned`, take less out", "it changes accuracy by -1.00"]),
        (Goal(max_drop_pp=3), STEPS, {}, ["score on more test rows: about ", "200 rows leave room for -"]),
        (Goal(min_speedup=50), STEPS, {}, ["fewer or narrower layers in the student", "x is wanted"]),
        (Goal(min_speedup=8, min_end_to_end_speedup=50), STEPS, {}, ["narrower layers", "faster where 50x is wanted"]),
        (Goal(min_speedup=50), ("teacher", "onnx"), {}, ["distill it into fewer layers", "quantize it"]),
        (Goal(min_speedup=50), ("teacher", "student"), {}, ["prune heads and neurons", "quantize it"]),
        (Goal(min_speedup=50), STEPS, {"peak_share": 0.08}, ["fewer layers rather than narrower", "uses 8% of"]),
        (
            Goal(max_size_mb=5),
            STEPS,
            {"parameters": 13_000_000, "token_parameters": 11_700_000},
            ["trim the vocabulary", "11.7 of 13.0 million parameters (90%)", "4 bits"],
        ),
        (Goal(max_size_mb=5), ("teacher", "student"), {}, ["quantize it: int8 is about four times smaller"]),
    ],
)
def test_a_goal_that_is_missed_is_answered_with_measured_facts(
    goal: Goal, steps: tuple[str, ...], changes: dict[str, object], wanted: list[str]
) -> None:
    told = " | ".join(advised(goal, steps, **changes))
    for part in wanted:
        assert part in told


def test_a_slow_tokenizer_is_named() -> None:
    report = sample_report()
    calls = report.rows[-1].real_latency_ms
    for goal in (Goal(min_speedup=50), Goal(min_end_to_end_speedup=50)):
        assert any("the tokenizer takes 50% of a call" in told for told in advised(goal, tokenize_ms=calls))
