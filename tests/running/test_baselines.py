"""The simple baselines of a run: fitted once, asked once, and no run fails for them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.baselines import find
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.processes.child import Child, ChildError
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.running import baselines
from compress.running.baselines import (
    KEPT,
    ask_baselines,
    fitted_rows,
    needs_of_baselines,
    outlook_of_baselines,
)
from compress.running.journal import Observer
from compress.store.store import Store
from compress.tasks import with_rows
from tests.chain import Silent
from tests.running.toys import HOST

NAMES = ("commonest_label", "linear_words")


@pytest.fixture
def plan(make_model: Callable[..., Path], reviews: Path) -> Plan:
    task = {"train": str(reviews / "train.csv"), "test": str(reviews / "test.csv"), "max_length": 32}
    recipe = {
        "name": "tiny",
        "task": task,
        "steps": [{"name": "teacher", "stage": "finetune", "model": str(make_model())}],
        "targets": {"cpu": {"threads": 1}},
        "bench": {"rounds": 2, "samples": 3},
        "baselines": list(NAMES),
    }
    return make_plan(Recipe.model_validate(recipe), Origin())


@pytest.fixture
def ask(tmp_path: Path, forked: None) -> Callable[..., Any]:
    (tmp_path / "run").mkdir()

    def ask_all(plan: Plan, observer: Observer | None = None, host: Any = HOST) -> Any:
        return ask_baselines(plan, Store(tmp_path / "store"), tmp_path / "run", host, observer or Silent())

    return ask_all


def test_they_are_fitted_and_asked_once(plan: Plan, ask: Callable[..., Any], tmp_path: Path) -> None:
    observer = Silent()
    store = Store(tmp_path / "store")
    assert outlook_of_baselines(plan, store) == dict.fromkeys(NAMES, "to do")
    first = ask(plan, observer)
    assert (first.is_new, observer.made, observer.warnings) == (True, list(NAMES), [])
    assert outlook_of_baselines(plan, store) == dict.fromkeys(NAMES, "done")
    assert {path.name for path in store.root.glob("baseline_*")} == set(needs_of_baselines(plan, store).values())
    for entry in first.entries:
        assert (entry.rows, entry.of_rows, len(entry.predictions)) == (64, 64, 32)
        assert [len(turn) for turn in entry.samples_ms] == [3, 3]
        assert min(sample for turn in entry.samples_ms for sample in turn) > 0
        assert entry.cpu_seconds is not None
        fitted = find(entry.name).load(store.path(baselines.identity_of(entry.name, plan)))
        assert list(entry.predictions) == [fitted.label((row.text,)) for row in plan.task.test]
        files = store.path(baselines.identity_of(entry.name, plan)).iterdir()
        assert entry.size_bytes == sum(path.stat().st_size for path in files if path.name != "manifest.json")

    asked: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "Child", asked.append)
        again = ask(plan, observer)
    assert (asked, again.is_new, again.entries) == ([], False, first.entries)

    other = ask(plan, observer, {**HOST, "cpu": "another"})  # its times are of that machine, its model is not
    assert (other.is_new, observer.made) == (True, [*NAMES, *NAMES])
    assert [entry.predictions for entry in other.entries] == [entry.predictions for entry in first.entries]
    kept = json.loads((tmp_path / "run" / KEPT).read_text())["baselines"]
    assert [item["host"]["cpu"] for item in kept] == ["another", "another"]

    kept[0]["predictions"][0] = 1 - kept[0]["predictions"][0]
    (tmp_path / "run" / KEPT).write_text(json.dumps({"baselines": kept}))
    mended = ask(plan, observer, {**HOST, "cpu": "another"})
    assert mended.is_new
    assert [entry.predictions for entry in mended.entries] == [entry.predictions for entry in first.entries]


def test_rows_held_back_of_the_training_file_are_learned_and_a_validation_file_is_not(plan: Plan) -> None:
    task = plan.task
    assert len(task.train) + len(task.validation) == len(fitted_rows(task)) == 64
    own = replace(task, spec=task.spec.model_copy(update={"validation": "dev.csv"}))
    assert fitted_rows(own) == task.train
    keys = {baselines.identity_of("linear_words", replace(plan, task=one)).key for one in (task, own)}
    assert len(keys) == 2


def test_too_few_rows_are_said_and_the_run_goes_on(plan: Plan, ask: Callable[..., Any], tmp_path: Path) -> None:
    few = replace(plan, task=with_rows(plan.task, train=plan.task.train[:1], validation=[]))
    reason = "1 training rows are fewer than the 2 labels that a linear model is to tell apart"
    assert outlook_of_baselines(few, Store(tmp_path / "store")) == {"commonest_label": "to do", "linear_words": reason}
    observer = Silent()
    commonest, linear = ask(few, observer).entries
    assert (commonest.reason, linear.reason) == (None, reason)
    assert observer.warnings == [f"no baseline 'linear_words': {reason}"]
    assert not ask(few).is_new


def test_words_that_nobody_could_count_are_said(plan: Plan, ask: Callable[..., Any]) -> None:
    rows = [replace(row, text="?") for row in plan.task.train]
    asked = ask(replace(plan, task=with_rows(plan.task, train=rows, validation=[])))
    assert [entry.reason for entry in asked.entries] == [
        None,
        "the training rows have no words that a linear model could count",
    ]


def test_a_process_that_dies_costs_only_its_baseline(plan: Plan, ask: Callable[..., Any]) -> None:
    class Dying(Child):
        def answer(self, *_: Any) -> Any:
            raise ChildError("stopped: it had taken 9.9 GB of memory, and may take 8.0")

    observer = Silent()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "Child", Dying)
        asked = ask(plan, observer)
    assert [entry.reason for entry in asked.entries] == ["stopped: it had taken 9.9 GB of memory, and may take 8.0"] * 2
    assert len(observer.warnings) == 2
    assert ask(plan).is_new  # a failure is kept nowhere


def test_pairs_of_texts_are_rows_of_two(plan: Plan, ask: Callable[..., Any]) -> None:
    def paired(rows: Any) -> Any:
        return [replace(row, text="the film", text_pair=row.text) for row in rows]

    task = with_rows(plan.task, train=paired(plan.task.train), validation=[], test=paired(plan.task.test))
    assert baselines._texts(task, task.test)[0] == ("the film", plan.task.test[0].text)
    _, linear = ask(replace(plan, task=replace(task, train_key="pairs", test_key="pairs"))).entries
    right = [one == row.label for one, row in zip(linear.predictions, task.test, strict=True)]
    assert sum(right) / len(right) > 0.9  # all that tells is in the second text


def test_of_many_texts_some_rows_are_drawn_by_the_seed(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = fitted_rows(plan.task)
    characters = sum(len(row.text) for row in rows)
    assert baselines._within(rows, plan.task, 0) == rows
    monkeypatch.setattr(baselines, "MOST_CHARACTERS", characters // 4)
    drawn = baselines._within(rows, plan.task, 0)
    assert len(drawn) == 64 * (characters // 4) // characters
    assert drawn == baselines._within(rows, plan.task, 0) != baselines._within(rows, plan.task, 1)
