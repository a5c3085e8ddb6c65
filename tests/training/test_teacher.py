"""What is learned from a teacher, and of which rows, on the tiny model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from pydantic import ValidationError

from compress.context import Context
from compress.export.export import export
from compress.models.load import load_model, save_model
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.store.artifacts import Artifact
from compress.tasks import UNKNOWN, with_rows
from compress.training import teacher_outputs
from compress.training.config import DistillationConfig
from compress.training.loop import Lesson, set_seed
from compress.training.objective import Objective
from compress.training.rows import EncodedRows
from compress.training.teacher import _lesson, train_under_teacher

from .conftest import MORE, TASK, Kept, weights


def lesson_of(teacher: Artifact, config: DistillationConfig, context: Context) -> Lesson:
    return _lesson([teacher], None, Objective(config), config, context)


def says(teacher: Artifact, texts: list[str]) -> np.ndarray[Any, Any]:
    """The teacher's logits, one text at a time."""
    tokenizer = load_tokenizer(teacher.path)
    model = load_model(teacher.path, TASK)
    rows = [tokenizer.pad(tokenizer.encode([text], None, 16)) for text in texts]
    with torch.no_grad():
        found = [model(**{name: torch.from_numpy(array) for name, array in row.items()}).logits for row in rows]
    return torch.cat(found).numpy()


def test_the_teacher_is_asked_about_all_rows_and_its_answers_stay_in_a_file(
    with_more: Context, teacher: Artifact
) -> None:
    lesson = lesson_of(teacher, DistillationConfig(), with_more)
    ((logits,),) = lesson.outputs
    assert isinstance(logits, np.memmap)
    assert (logits.shape, logits.dtype) == ((48 + 3, 2), np.float32)
    assert [row.text for row in lesson.rows[48:]] == MORE
    assert lesson.run_rows == 51
    expected = says(teacher, [row.text for row in lesson.rows])
    assert np.abs(expected).max() > 0.1
    assert np.abs(logits - expected).max() < 1e-5


def test_each_encoded_row_comes_with_what_the_teacher_said_of_it(with_more: Context, teacher: Artifact) -> None:
    config = DistillationConfig.model_validate({"augment": {"copies": 2}})
    lesson = lesson_of(teacher, config, with_more)
    tokenizer = load_tokenizer(teacher.path)
    rows = EncodedRows(lesson.rows, with_more.task, tokenizer, 16, lesson.outputs)
    assert len(rows) == lesson.run_rows == 51 * 3
    plain = with_more.task.encode(lesson.rows, tokenizer, 16)
    said = says(teacher, [row.text for row in lesson.rows])
    for index, expected in enumerate(plain):
        row = rows[index]
        assert row["input_ids"].tolist() == expected["input_ids"]
        assert row["token_type_ids"].tolist() == expected["token_type_ids"]
        assert row["labels"] == expected["labels"] == (lesson.rows[index].label if index < 48 else UNKNOWN)
        assert np.abs(row["teacher_logits"] - said[index]).max() < 1e-5
    assert rows.lengths == [len(row["input_ids"]) for row in plain]


def test_variants_differ_from_their_rows_and_are_made_once(with_more: Context, teacher: Artifact) -> None:
    config = DistillationConfig.model_validate({"augment": {"copies": 2, "share": 0.2}})
    told: list[tuple[str, int, int]] = []
    listening = replace(with_more, progress=lambda *said: told.append(said))
    lesson = lesson_of(teacher, config, listening)
    rows, first, second = lesson.rows[:51], lesson.rows[51:102], lesson.rows[102:]
    assert all(one.text != row.text for row, one in zip(rows, first, strict=True))
    assert sum(one.text != other.text for one, other in zip(first, second, strict=True)) > 25
    kept = with_more.cached
    assert isinstance(kept, Kept)
    assert kept.made == ["teacher_logits", "variants", "teacher_logits"]
    assert [what for what, done, whole in told if done == whole] == [
        "asking the teacher",
        "making variants",
        "asking the teacher about variants",
    ]
    assert lesson_of(teacher, config, listening).rows == lesson.rows
    assert kept.made == ["teacher_logits", "variants", "teacher_logits"]
    other = lesson_of(teacher, config, replace(listening, seed=5))
    assert other.rows[51:] != lesson.rows[51:]
    assert kept.made[3:] == ["variants", "teacher_logits"], "the rows of the task are not asked about again"


def test_each_of_several_teachers_is_asked_once_about_the_rows_and_about_the_same_variants(
    with_more: Context, teacher: Artifact, tmp_path: Path
) -> None:
    other = Artifact(tmp_path / "other", "8" * 64, "torch")
    model = load_model(teacher.path, TASK)
    with torch.no_grad():
        model.classifier.weight.neg_()
    save_model(model, other.path)
    copy_tokenizer(teacher.path, other.path)
    config = DistillationConfig.model_validate({"augment": {"copies": 2, "parts": 0.5}})
    told: list[tuple[str, int, int]] = []
    listening = replace(with_more, progress=lambda *said: told.append(said))
    lesson = _lesson([teacher, other], None, Objective(config), config, listening)
    kept = with_more.cached
    assert isinstance(kept, Kept)
    assert kept.made == ["teacher_logits"] * 2 + ["variants"] + ["teacher_logits"] * 2
    # a forecast knows the cost of each by its own name and number of rows
    assert [(what, total) for what, done, total in told if done == total] == [
        ("asking teacher 1 of 2", 51),
        ("asking teacher 2 of 2", 51),
        ("making variants", 102),
        ("asking teacher 1 of 2 about variants", 102),
        ("asking teacher 2 of 2 about variants", 102),
    ]
    for one, outputs in zip((teacher, other), lesson.outputs, strict=True):
        assert [len(part) for part in outputs] == [51, 102]
        assert np.abs(np.concatenate(outputs) - says(one, [row.text for row in lesson.rows])).max() < 1e-5
    # the first alone, as another student's teacher, has been asked already
    _lesson([teacher], None, Objective(config), config, listening)
    assert len(kept.made) == 5


def test_variants_with_the_words_of_a_test_row_are_left_out(with_more: Context, teacher: Artifact) -> None:
    config = DistillationConfig.model_validate({"augment": {"copies": 4, "parts": 1, "unchanged": 1}})
    plain = lesson_of(teacher, config, with_more)
    texts = [row.text for row in plain.rows[51:]]
    rows = with_more.task.without_answers([f" {texts[0]}\n", texts[100].replace(" ", "  "), "of no row"], None)
    testing = replace(with_more, task=with_rows(with_more.task, test=rows, test_key="of these test rows"))
    lesson = lesson_of(teacher, config, testing)
    others = [text for text in texts if text not in {texts[0], texts[100]}]
    assert [row.text for row in lesson.rows[51:]] == others
    assert lesson.facts == {
        "variants": len(others),
        "variants_in_test": 204 - len(others),
        "variants_test_key": "of these test rows",
    }
    assert (plain.facts["variants"], plain.facts["variants_in_test"]) == (204, 0)
    ((_, logits),) = lesson.outputs
    assert np.abs(logits - says(teacher, others)).max() < 1e-5


def test_without_a_weight_for_it_the_teacher_is_not_asked(with_more: Context, teacher: Artifact) -> None:
    lesson = lesson_of(teacher, DistillationConfig(soft_weight=0, hard_weight=1), with_more)
    assert (len(lesson.rows), lesson.run_rows, lesson.outputs) == (48, 48, ())
    assert isinstance(with_more.cached, Kept)
    assert with_more.cached.made == []


def test_a_row_without_a_label_is_moved_by_the_teacher_alone() -> None:
    logits, labels = torch.randn(4, 3, requires_grad=True), torch.tensor([1, UNKNOWN, UNKNOWN, 0])
    said = torch.randn(4, 1, 3)
    gradients = []
    for hard in (0.0, 0.7):
        logits.grad = None
        config = DistillationConfig(hard_weight=hard, temperature=3.0)
        Objective(config)(logits, {"labels": labels, "teacher_logits": said}).backward()
        assert logits.grad is not None
        gradients.append(logits.grad.clone())
    assert torch.equal(gradients[0][1:3], gradients[1][1:3])
    expected = (logits.detach()[[0, 3]].softmax(-1) - torch.eye(3)[[1, 0]]) * 0.7 / 4
    assert torch.allclose(gradients[1][[0, 3]] - gradients[0][[0, 3]], expected, atol=1e-6)


def test_unlabelled_rows_change_what_is_learned_and_the_steps(with_more: Context, teacher: Artifact) -> None:
    found, steps = [], []
    config = DistillationConfig(epochs=1, batch_size=8, learning_rate=1e-3)
    for count in (0, 3):
        task = replace(with_more.task, unlabelled=with_more.task.unlabelled[:count])  # type: ignore[type-var]
        work = with_more.work / str(count)
        where = replace(with_more, task=task, cached=Kept(work / "kept"), work=work)
        set_seed(0)
        student, tokenizer = load_model(teacher.path, TASK), load_tokenizer(teacher.path)
        steps.append(train_under_teacher(student, tokenizer, teacher, config, where, what="x")["steps"])
        found.append(weights(student))
    assert steps == [6, 7]
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"soft_weight": 0, "hard_weight": 0}, "all weights of the loss are 0"),
        ({"soft_weight": 0, "augment": {"copies": 1}}, "augment.copies has no labels, so it needs a teacher"),
        ({"augment": {"share": 0}}, "greater than 0"),
        ({"augment": {"share": 1.5}}, "less than or equal to 1"),
        ({"augment": {"swap": 0, "delete": 0, "neighbours": 0}}, "have the weight 0: give one of them more"),
    ],
)
def test_settings_that_teach_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DistillationConfig.model_validate(settings)


def test_many_rows_are_asked_about_in_onnxruntime_which_says_the_same(
    with_more: Context, teacher: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = {}
    rows = [*with_more.task.train, *with_more.task.unlabelled]
    for least in (52, 51):
        monkeypatch.setattr(teacher_outputs, "EXPORT_FROM", least)
        facts = teacher_outputs.ask(teacher, rows, 16, with_more, tmp_path, what="asking", run_rows=51)
        found[facts["runtime"]] = np.array(teacher_outputs.read_outputs(tmp_path))
    assert set(found) == {"torch", "onnxruntime"}
    assert np.abs(found["torch"] - found["onnxruntime"]).max() < 1e-5
    assert np.abs(found["torch"] - says(teacher, [row.text for row in rows])).max() < 1e-5
    assert list(with_more.work.glob("tmp*")) == []


def test_an_export_that_says_something_else_is_not_used(
    with_more: Context, teacher: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def zeroed(network: Any, path: Path) -> None:
        export(network, path)
        model = onnx.load(str(path))
        for tensor in model.graph.initializer:
            if tensor.name.endswith("classifier.weight"):
                tensor.CopyFrom(numpy_helper.from_array(0 * numpy_helper.to_array(tensor), tensor.name))
        onnx.save(model, str(path))

    monkeypatch.setattr(teacher_outputs, "export", zeroed)
    monkeypatch.setattr(teacher_outputs, "EXPORT_FROM", 1)
    facts = teacher_outputs.ask(teacher, with_more.task.train, 16, with_more, tmp_path, what="asking", run_rows=48)
    assert facts == {"rows": 48, "runtime": "torch"}
