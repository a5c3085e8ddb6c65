"""What a plan refuses before any work, and what it lets through."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.planning.plan import Plan
from tests.plans import CHAIN, CPU, INT8, ONNX, PRUNED, STUDENT, TEACHER, model_like


@pytest.fixture
def refused(plan: Callable[..., Plan], tmp_path: Path) -> Callable[..., InputError]:
    """The error of a recipe that does not plan; its `where` without the folder."""

    def refuse(*steps: str, **changes: Any) -> InputError:
        with pytest.raises(InputError) as caught:
            plan(*steps, **changes)
        assert not list(tmp_path.glob("runs*"))
        caught.value.where = (caught.value.where or "").removeprefix(f"{tmp_path}/")
        return caught.value

    return refuse


@pytest.mark.parametrize(
    ("steps", "what", "line", "fix"),
    [
        (
            (TEACHER, ONNX, PRUNED),
            "step 'pruned' reads format 'torch', but 'onnx' gives 'onnx'",
            6,
            "move 'pruned' before the export that 'onnx' stands for",
        ),
        (
            (TEACHER, INT8),
            "step 'int8' reads format 'onnx', but 'teacher' gives 'torch'",
            5,
            "put an export_onnx step between 'teacher' and 'int8'",
        ),
        (
            (TEACHER, "{name: nf4, stage: quantize_bnb}", ONNX),
            "step 'onnx' reads format 'torch', but 'nf4' gives 'torch_bnb'",
            6,
            "let 'onnx' read an earlier step; bitsandbytes weights neither export nor train further",
        ),
        (
            (TEACHER, "{name: student, stage: distill, layers: 1, teacher: pruned}", PRUNED),
            "'teacher' names the step 'pruned', which does not stand before it",
            5,
            "move 'pruned' up",
        ),
        (
            ("{name: teacher, stage: finetune, model: teacher}",),
            "'model' names the step 'teacher', which does not stand before it",
            4,
            "move 'teacher' up",
        ),
        (
            (TEACHER, "{name: student, stage: distill, layers: 1, teacher: techer}"),
            "'techer' is neither an earlier step nor a model's folder",
            5,
            "did you mean 'teacher'? accepted: teacher",
        ),
        (("{name: teacher, stage: finetun}",), "unknown stage 'finetun'", 4, "did you mean 'finetune'? accepted:"),
        (
            ("{name: teacher, stage: finetune, model: MODEL, epoch: 3}",),
            "in step 'teacher': unknown key 'epoch'",
            4,
            "did you mean 'epochs'?",
        ),
        (
            (TEACHER, "{name: p, stage: prune_structured, recover: {epoch: 3}}"),
            "in step 'p': unknown key 'recover.epoch'",
            5,
            "did you mean 'epochs'?",
        ),
        (
            (TEACHER, "{name: student, stage: distill, layers: 0}"),
            "in step 'student': 'layers' is 0: input should be greater than or equal to 1, or a list is needed",
            5,
            "correct the value there",
        ),
        (
            (TEACHER, "{name: student, stage: distill, layers: 3}"),
            "step 'student': a student of 3 layers cannot be taken from a teacher of 2",
            5,
            "at most 2",
        ),
        (
            (TEACHER, "{name: student, stage: distill, layers: [0, 2]}"),
            "step 'student': the layers [0, 2] cannot be taken from a teacher of 2",
            5,
            "each at most once, from 0 to 1",
        ),
        (
            (TEACHER, STUDENT, "{name: smaller, stage: distill, layers: 2}"),
            "step 'smaller': a student of 2 layers cannot be taken from a teacher of 1",
            6,
            "at most 1",
        ),
        (
            (TEACHER, "{name: student, stage: distill}"),
            "step 'student': the student is not described",
            5,
            "add layers: 2, or student: another model",
        ),
        (
            (TEACHER, STUDENT, "{name: wide, stage: distill, teacher: teacher, student: student, ffn: 65}"),
            "step 'wide': a student of 65 neurons cannot be taken from a teacher of 64",
            6,
            "at most 64",
        ),
        (
            (TEACHER, "{name: student, stage: distill, heads: 5}"),
            "step 'student': a student of 5 heads cannot be taken from a teacher of 4",
            5,
            "at most 4",
        ),
        (
            (TEACHER, "{name: student, stage: distill, hidden: 40}"),
            "step 'student': a student of 40 hidden channels cannot be taken from a teacher of 32",
            5,
            "at most 32",
        ),
        (
            (TEACHER, "{name: student, stage: distill, hidden: 12}"),
            "step 'student': a hidden width of 12 is no multiple of a head's 8 channels",
            5,
            "take 16",
        ),
        (
            (TEACHER, "{name: pruned, stage: prune_structured, heads: 0.9}"),
            "step 'pruned': removing 90% of 4 heads leaves a layer empty",
            5,
            "remove at most 0.75",
        ),
        (
            ("{name: teacher, stage: finetune}",),
            "step 'teacher' has no 'model': there is no step before it",
            4,
            "add model: a path, hf://org/name@revision or pypi://dist==version/path",
        ),
        (
            ("{name: teacher, stage: finetune, model: 5}",),
            "'model' is 5",
            4,
            "name an earlier step, or a model's source",
        ),
    ],
)
def test_steps_that_do_not_fit_are_refused_before_any_work(refused, steps, what, line, fix):
    error = refused(*steps)
    assert error.what == what
    assert error.where == f"recipe.yaml:{line}"
    assert error.fix.startswith(fix)


def test_a_model_that_does_not_exist_is_told_with_the_place_looked_at(refused, tmp_path):
    error = refused("{name: teacher, stage: finetune, model: nowhere}")
    assert (error.what, error.where) == ("the model 'nowhere' does not exist", "recipe.yaml:4")
    assert error.fix.startswith(f"checked {tmp_path}/nowhere; give a path, hf://org/name@revision")


@pytest.mark.parametrize(
    ("step", "what", "fix"),
    [
        (STUDENT, "a student cannot be cut out of this model", "name another model"),
        ("{name: pruned, stage: prune_structured}", "this model cannot be pruned", "known: albert, bert, camembert,"),
    ],
)
def test_an_architecture_that_is_not_known_can_be_trained_but_not_cut(
    refused, plan, make_model, tmp_path, step, what, fix
):
    strange = model_like(make_model(), tmp_path / "strange", model_type="strange")
    teacher = TEACHER.replace("MODEL", str(strange))
    assert plan(teacher, ONNX).step("onnx").shape is None
    error = refused(teacher, step)
    assert what in error.what
    assert (error.where, error.fix[: len(fix)]) == ("recipe.yaml:5", fix)


def test_a_goal_needs_a_target(refused):
    error = refused(*CHAIN, more="goal: {min_speedup: 2}")
    assert (error.what, error.where) == ("there is a goal, but no target to measure it on", "recipe.yaml:9")


def test_targets_need_test_rows(refused):
    error = refused(*CHAIN, **{"task.test": "null"})
    assert error.what == "there are targets, but no test rows to measure on"
    assert "task.test_fraction: 0.2" in error.fix


def test_test_rows_may_be_a_share_of_the_training_rows(plan):
    made = plan(TEACHER, **{"task.test": "null", "task.test_fraction": "0.25"})
    assert (len(made.task.test), len(made.task.train) + len(made.task.validation)) == (16, 48)
    assert made.task.notes == ("the test rows are 25% of the training file, drawn by the seed",)


def test_training_needs_training_rows(refused):
    error = refused(TEACHER, **{"task.train": "null"})
    assert (error.what, error.fix) == ("step 'teacher' (finetune) needs training rows", "add task.train (--train)")


def test_an_unknown_baseline_is_refused(refused):
    error = refused(*CHAIN, more=f"{CPU}\nbaseline: techer")
    assert (error.what, error.where) == ("the baseline 'techer' is not a step", "recipe.yaml:10")
    assert error.fix.startswith("did you mean 'teacher'?")


def test_a_model_of_other_labels_is_refused_where_it_is_not_trained_anew(refused, plan, make_model, tmp_path):
    stars = model_like(make_model(), tmp_path / "stars", id2label={"0": "1 star", "1": "5 stars"})
    error = refused(f"{{name: onnx, stage: export_onnx, model: {stars}}}")
    assert error.what == "the model 'stars' knows the labels '1 star', '5 stars', the data has 'bad', 'good'"
    assert error.where == "recipe.yaml:4"
    assert plan(TEACHER.replace("MODEL", str(stars))).task.labels == ("bad", "good")


@pytest.mark.parametrize(
    "step", ["{name: onnx, stage: export_onnx, model: MODEL}", STUDENT.replace("1", "1, teacher: MODEL")]
)
def test_a_pretrained_model_without_labels_is_to_be_fine_tuned_first(refused, make_model, step):
    error = refused(step)
    name = make_model().name
    assert error.what == f"the config.json of the model '{name}' names no labels, the data has 'bad', 'good'"
    assert (error.where, error.fix) == ("recipe.yaml:4", "fine-tune it on this data first")


def test_a_share_of_a_few_rows_is_no_test(refused, tmp_path):
    (tmp_path / "train.csv").write_text("text,label\na,good\nb,bad\nc,bad\n")
    error = refused(TEACHER, data=tmp_path, **{"task.test": "null", "task.test_fraction": "0.3"})
    assert error.what == "3 training rows are too few to hold test rows out of them"
    assert error.where == "--set task.test_fraction=0.3"


def test_training_rows_that_are_all_test_rows_leave_nothing_to_train_on(refused, reviews):
    error = refused(TEACHER, **{"task.test": str(reviews / "train.csv"), "task.overlap": "drop"})
    assert error.what == "all training rows also stand in test, so none is left to train on"
    assert "task.test_fraction" in error.fix


def test_the_shape_of_each_step_is_known_before_any_work(plan):
    shapes = [plan(*CHAIN).step(name).shape for name in ("teacher", "student", "pruned", "int8")]
    assert [shape.layers for shape in shapes] == [2, 1, 1, 1]
    assert [shape.heads for shape in shapes] == [(4, 4), (4,), (2,), (2,)]
    assert [shape.neurons for shape in shapes] == [(64, 64), (64,), (32,), (32,)]


def test_a_pretrained_student_without_a_head_is_welcome(
    plan: Callable[..., Plan], make_model: Callable[..., Path]
) -> None:
    student = f"{{name: student, stage: distill, student: {make_model('distilbert')}}}"
    shape = plan(TEACHER, student).step("student").shape
    assert shape is not None
    assert shape.model_type == "distilbert"


@pytest.mark.parametrize(("family", "positions"), [("bert", 256), ("roberta", 254)])
def test_texts_longer_than_the_model_has_positions_for_are_refused(
    family: str, positions: int, plan: Callable[..., Plan], make_model: Callable[..., Path]
) -> None:
    teacher = TEACHER.replace("MODEL", str(make_model(family)))
    plan(teacher, more=f"targets: {{cpu: {{sequence_length: {positions}}}}}")
    with pytest.raises(InputError, match=f"sequence_length is {positions + 1}, .* positions for {positions} tokens"):
        plan(teacher, more=f"targets: {{cpu: {{sequence_length: {positions + 1}}}}}")
