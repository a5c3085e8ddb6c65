"""Files from outside, tried in a process of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from compress.errors import InputError
from compress.models.tokenizer import copy_tokenizer
from compress.planning.plan import Plan
from compress.tasks import Task
from compress.trials import trial
from compress.trials.trial import task_texts, try_graph, try_tokenizer
from tests.graphs import endless_graph
from tests.plans import TEACHER


@pytest.fixture
def outside(make_model: Callable[..., Path], tmp_path: Path) -> Callable[[onnx.ModelProto], Path]:
    def write(graph: onnx.ModelProto) -> Path:
        copy_tokenizer(make_model(), tmp_path)
        onnx.save(graph, str(tmp_path / "model.onnx"))
        return tmp_path / "model.onnx"

    return write


def changed(make_model: Callable[..., Path], folder: Path, **parts: Any) -> Path:
    said = json.loads((make_model() / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(said | parts))
    return folder


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


@pytest.fixture
def task(plan: Callable[..., Plan]) -> Task:
    return plan(TEACHER).task


def test_a_graph_that_never_ends_for_the_longest_rows_is_refused(outside: Any, task: Task) -> None:
    path = outside(endless_graph(quiet_up_to=5))
    with pytest.raises(InputError, match=r"a call of the graph did not end in 0 s|did not bear it") as caught:
        try_graph(path, task, 0.3)
    assert caught.value.where == str(path)


def test_a_graph_that_ends_is_tried_once(outside: Any, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    path = outside(endless_graph(quiet_up_to=10_000))
    try_graph(path, task, 60.0)
    monkeypatch.setattr(trial, "COMMAND", ("no such python", "-P"))
    try_graph(path, task, 60.0)


def test_a_plain_tokenizer_is_not_run(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "COMMAND", ("no such python", "-P"))
    try_tokenizer(make_model(), lambda: ["a"])


def test_a_tokenizer_of_an_odd_pattern_is_tried_and_taken(make_model: Any, tmp_path: Path) -> None:
    try_tokenizer(changed(make_model, tmp_path, pre_tokenizer=split(r"(?:[a-z]+ ?)+")), lambda: ["a b c", "d"])


def test_a_tokenizer_that_searches_for_ever_is_refused(
    make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 5.0)
    folder = changed(make_model, tmp_path, pre_tokenizer=split("(?:a|a|aa)+(?:b|c)$"))
    with pytest.raises(InputError, match="the tokenizer") as caught:
        try_tokenizer(folder, lambda: ["short", "a" * 3000])
    assert caught.value.where == str(tmp_path / "tokenizer.json")


def test_a_tokenizer_that_takes_too_much_memory_is_refused(
    make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "TOKENIZER_BYTES", 200_000_000)
    doubles = [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 9
    folder = changed(make_model, tmp_path, normalizer={"type": "Sequence", "normalizers": doubles})
    with pytest.raises(InputError, match=r"did not bear it \(stopped: it had taken 0\.\d GB of memory"):
        try_tokenizer(folder, lambda: ["a" * 100_000])


def test_texts_are_those_of_all_rows(task: Task) -> None:
    rows = (task.train, task.validation, task.test, task.unlabelled)
    assert sorted(task_texts(task)) == sorted(text for some in rows for text in task.texts(some)[0])
