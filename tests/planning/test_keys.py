"""What the keys of a plan depend on, what it measures, and against which baseline."""

import shutil

import pytest

from compress.planning.plan import Plan
from tests.conftest import write_reviews
from tests.plans import CHAIN, INT8, ONNX, STUDENT, TEACHER, model_like


def keys(plan: Plan) -> dict[str, str]:
    return {step.name: step.identity.key for step in plan.steps}


def test_the_same_recipe_has_the_same_keys(plan):
    first = keys(plan(*CHAIN))
    assert keys(plan(*CHAIN)) == first
    assert len(set(first.values())) == len(first) == 7
    assert all(len(key) == 64 for key in first.values())


@pytest.mark.parametrize(
    ("override", "value", "changed"),
    [
        ("int8.per_channel", "false", {"int8"}),
        ("pruned.ffn", "0.25", {"pruned", "onnx", "int8"}),
        ("pruned.teacher", "student", {"pruned", "onnx", "int8"}),
        ("student.epochs", "3", {"student", "student as onnx", "pruned", "onnx", "int8"}),
        ("onnx.opset", "18", {"teacher as onnx", "student as onnx", "onnx", "int8"}),
        ("name", "other", set()),
        ("bench.rounds", "9", set()),
        ("targets.cpu.threads", "2", set()),
        ("goal", "{min_speedup: 2}", set()),
        ("student.epochs", "2.0", set()),
    ],
)
def test_a_setting_changes_the_keys_of_its_step_and_of_those_that_read_it(plan, override, value, changed):
    before, after = keys(plan(*CHAIN)), keys(plan(*CHAIN, **{override: value}))
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == changed


def test_the_seed_changes_what_is_trained_but_not_the_export_of_a_given_model(plan, labelled):
    steps = (f"{{name: given, stage: export_onnx, model: {labelled}}}", INT8, TEACHER)
    before, after = keys(plan(*steps)), keys(plan(*steps, seed=1))
    assert {name for name in before if before[name] != after[name]} == {"teacher", "teacher as onnx"}
    assert set(before) == {"given", "int8", "teacher", "teacher as onnx"}


def test_the_test_rows_change_no_key_and_the_training_rows_change_all(plan, reviews, tmp_path):
    other_test, other_train = tmp_path / "other-test", tmp_path / "other-train"
    for folder in (other_test, other_train):
        shutil.copytree(reviews, folder)
    write_reviews(other_test / "test.csv", 16, seed=5)
    write_reviews(other_train / "train.csv", 64, seed=6)
    first = plan(*CHAIN)
    assert keys(plan(*CHAIN, data=other_test)) == keys(first)
    assert plan(*CHAIN, data=other_test).task.test_key != first.task.test_key
    after = keys(plan(*CHAIN, data=other_train))
    assert all(after[name] != key for name, key in keys(first).items())


def test_the_content_of_a_model_counts_not_its_place(plan, make_model, tmp_path):
    same = model_like(make_model(), tmp_path / "same", id2label={"0": "bad", "1": "good"})
    moved = model_like(same, tmp_path / "moved")
    other = model_like(same, tmp_path / "other", layer_norm_eps=1e-6)
    made = [keys(plan(TEACHER.replace("MODEL", str(path))))["teacher"] for path in (same, moved, other)]
    assert made[0] == made[1] != made[2]


def test_torch_models_are_measured_through_exports_which_the_recipe_may_have_itself(plan):
    made = plan(*CHAIN)
    assert [step.name for step in made.steps if step.only_measured] == ["teacher as onnx", "student as onnx"]
    assert [(subject.step, subject.measured) for subject in made.subjects] == [
        ("teacher", "teacher as onnx"),
        ("student", "student as onnx"),
        ("pruned", "onnx"),
        ("onnx", "onnx"),
        ("int8", "int8"),
    ]
    assert [step.name for step in plan(TEACHER, ONNX).steps] == ["teacher", "onnx"]


def test_exports_for_measuring_take_the_settings_of_the_recipes_own(plan):
    made = plan(*CHAIN, **{"onnx.opset": "18"})
    assert {made.step(name).config.opset for name in ("onnx", "teacher as onnx", "student as onnx")} == {18}


def test_on_torch_a_model_stands_for_itself(plan):
    made = plan(TEACHER, STUDENT, more="targets: {torch: {runtime: torch}}")
    assert [(subject.target, subject.measured) for subject in made.subjects] == [
        ("torch", "teacher"),
        ("torch", "student"),
    ]
    assert len(made.steps) == 2


def test_no_step_of_a_recipe_can_take_the_name_of_an_export_for_measuring(plan):
    made = plan(TEACHER, "{name: teacher-as-onnx, stage: distill, layers: 1}")
    names = [step.name for step in made.steps]
    assert names == ["teacher", "teacher-as-onnx", "teacher as onnx", "teacher-as-onnx as onnx"]


def test_the_baseline_is_the_first_fine_tuned_step_or_the_one_named(plan):
    steps = (TEACHER, "{name: again, stage: finetune, epochs: 1}", STUDENT)
    assert (plan(*steps).baseline, plan(*steps).baselines) == ("teacher", {"cpu": "teacher as onnx"})
    named = plan(*steps, baseline="student")
    assert (named.baseline, named.baselines) == ("student", {"cpu": "student as onnx"})


def test_without_fine_tuning_the_baseline_is_the_model_that_the_chain_reads(plan, labelled):
    made = plan(f"{{name: student, stage: distill, layers: 1, teacher: {labelled}}}")
    assert (made.baseline, made.baselines) == ("baseline", {"cpu": "input model as onnx"})
    assert [(subject.step, subject.stage) for subject in made.subjects] == [
        ("baseline", "source"),
        ("student", "distill"),
    ]


def test_without_targets_nothing_is_measured(plan):
    made = plan(*CHAIN, more="")
    assert made.subjects == ()
    assert [step.name for step in made.steps] == ["teacher", "student", "pruned", "onnx", "int8"]


def test_unlabelled_rows_change_the_keys_of_the_steps_under_a_teacher_and_of_those_that_read_them(plan, tmp_path):
    more = tmp_path / "more.csv"
    found = []
    for rows in ("one more text", "another text"):
        more.write_text(f"text\n{rows}\n")
        found.append(keys(plan(*CHAIN, task=f", unlabelled: {more}")))
    without = keys(plan(*CHAIN))
    for one, other in ((without, found[0]), (found[0], found[1])):
        changed = {name for name in one if one[name] != other[name]}
        assert changed == {"student", "student as onnx", "pruned", "onnx", "int8"}


def test_how_rows_are_varied_changes_the_key_of_its_step(plan):
    before, after = keys(plan(*CHAIN)), keys(plan(*CHAIN, **{"pruned.recover.augment.copies": "2"}))
    assert {name for name in before if before[name] != after[name]} == {"pruned", "onnx", "int8"}
