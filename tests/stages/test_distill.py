"""A student that learns from two teachers, from unlabelled rows and from variants, through a whole run."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from compress.lineage.model import read_lineage
from compress.lineage.reproduce import pinned_recipe
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.running.folder import open_store
from compress.running.rehearsal import rehearse
from compress.running.runner import run_plan
from tests.chain import FAST, Silent
from tests.conftest import review
from tests.fresh import fork_children


@pytest.fixture
def recipe(make_model: Callable[..., Path], reviews: Path, tmp_path: Path) -> Recipe:
    import random

    more, random_ = tmp_path / "more.csv", random.Random(3)
    with more.open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([review("good", random_)] for _ in range(10))])
    train, test = str(reviews / "train.csv"), str(reviews / "test.csv")
    task = {"train": train, "test": test, "unlabelled": str(more), "max_length": 32, "validation_fraction": 0.25}
    steps = [
        {"name": "one", "stage": "finetune", "model": str(make_model()), **FAST, "epochs": 5},
        {"name": "two", "stage": "finetune", "model": str(make_model("distilbert")), **FAST, "epochs": 5},
        {"name": "plain", "stage": "distill", "teacher": "one", "layers": 1, **FAST, "epochs": 1},
        {"name": "student", "stage": "distill", "teacher": ["one", "two"], "layers": 1, **FAST}
        | {"augment": {"copies": 2}, "epochs": 3},
    ]
    return Recipe.model_validate({"name": "taught", "task": task, "steps": steps, "device": "cpu"})


def test_a_student_of_two_teachers_learns_from_all_rows_and_its_lineage_says_of_whom(
    recipe: Recipe, tmp_path: Path
) -> None:
    plan = make_plan(recipe, Origin())
    result = run_plan(plan, tmp_path / "runs", Silent())
    student = result.artifacts["student"]
    assert student.facts["steps"] == 3 * np.ceil((48 + 10) * 3 / 8)
    assert result.artifacts["plain"].facts["steps"] == np.ceil((48 + 10) / 8)
    assert student.facts["best_validation_score"] >= 0.9
    made = sorted(path.name.partition("-")[0] for path in (tmp_path / "runs" / "store").glob("*-*"))
    assert made.count("teacher_logits") == 4, "each of two teachers about the rows and about the variants, shared"
    assert made.count("variants") == 1
    final = tmp_path / "runs" / "taught" / "final"
    lineage = read_lineage(final)
    assert lineage.final.inputs == {"teacher": "one", "teacher 2": "two"}
    assert lineage.data is not None
    assert (lineage.data.train_rows, lineage.data.unlabelled_rows) == (48, 10)
    assert "10 texts without labels" in (final / "README.md").read_text()
    again = Recipe.model_validate(yaml.safe_load(pinned_recipe(lineage, "here")))
    assert make_plan(again, Origin()).step("student").identity.key == plan.step("student").identity.key
    manifest = json.loads((student.path / "manifest.json").read_text())
    assert set(manifest["inputs"]) == {"teacher", "teacher 2"}


def test_a_rehearsal_counts_the_steps_over_all_rows(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork_children(monkeypatch)

    class Told(Silent):
        def __init__(self) -> None:
            super().__init__()
            self.totals: dict[str, int] = {}

        def progress(self, what: str, done: int, total: int) -> None:
            super().progress(what, done, total)
            self.totals[what] = total

    observer = Told()
    plan = make_plan(recipe, Origin())
    found = rehearse(plan, observer, {}, open_store(tmp_path / "runs"), batches=2, done={})
    assert set(found.steps) == {"one", "two", "plain", "student"}
    assert observer.totals["asking the teacher"] == 58
    assert observer.totals["asking teacher 2 of 2 about variants"] == observer.totals["making variants"] == 116
    assert observer.totals["distilling"] == 3 * np.ceil(174 / 8)
