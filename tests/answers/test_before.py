"""Every figure of labels is the one that it was before answers had a type: `before.json` was written by that code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.comparing.held_back import HeldBack, agreement, beyond_chance
from compress.recipe.schema import TaskSpec
from compress.report.build import build_ablations, build_rows
from compress.tasks.text_classification import Row, TextClassification
from tests.report import reports

BEFORE: dict[str, Any] = json.loads((Path(__file__).parent / "before.json").read_text())


def known(figures: Any, before: Any) -> Any:
    """The figures that were there before, to twelve digits: sums of floats differ in the last ones between machines."""
    if isinstance(before, dict):
        return {name: known(figures[name], value) for name, value in before.items()}
    if isinstance(before, list):
        return [known(*pair) for pair in zip(figures, before, strict=True)]
    return float(f"{figures:.12g}") if isinstance(figures, float) else figures


@pytest.mark.parametrize("metric", BEFORE)
def test_the_figures_of_a_report_are_what_they_were(metric: str) -> None:
    test = reports.held_out().model_copy(update={"metric": metric})
    entries, measured = reports.measure(test)
    rows = build_rows(entries, measured, {"cpu": "teacher"}, test, reports.made_up_texts(), margin_pp=1.0)
    ablations = build_ablations(reports._left_out(rows), measured, rows, reports.STEPS[-1], test, 1.0)
    told = [row.model_dump(mode="json") for row in rows]
    assert all(flip["lost"] == (flip["before"] == flip["truth"]) for row in told for flip in row["flips"])
    left_out = [item.model_dump(mode="json") for item in ablations]
    for now, before in ((told, BEFORE[metric]["rows"]), (left_out, BEFORE[metric]["ablations"])):
        assert known(now, before) == known(before, before)


@pytest.mark.parametrize("metric", BEFORE)
def test_what_is_said_of_outputs_is_what_it_was(metric: str) -> None:
    random, before = np.random.default_rng(17), BEFORE[metric]["held_back"]
    labels = random.integers(0, 4, 120)
    logits = random.normal(size=(120, 4)) + 2 * np.eye(4)[labels]
    others = logits + 0.7 * random.normal(size=(120, 4))
    others[5] = np.nan
    task = TextClassification(TaskSpec(metric=metric), tuple("0123"), [], [], [], [], 0, (), "", "", "")
    rows = [Row("", None, int(label)) for label in labels]
    held = HeldBack(task, rows, [], [], task.truth(rows))
    numbers = np.nan_to_num(others)
    drop, answers = held.drop(list(logits), list(numbers)), task.answers(logits, rows)
    assert drop is not None
    assert {
        "agreement": agreement(task, rows, list(logits), list(others)),
        "beyond_chance": beyond_chance(task, rows, list(logits), list(numbers)),
        "drop": drop.model_dump(),
        "score": answers.outcome(task.truth(rows), metric).value,
        "predictions": answers.content,
        "confidences": answers.confidences,
    } == before
