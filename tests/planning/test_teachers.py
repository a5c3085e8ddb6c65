"""What planning says of steps under a teacher, or several."""

import json

import pytest

from compress.errors import InputError
from compress.models.tokenizer import copy_tokenizer
from compress.planning.json_schema import recipe_schema
from compress.running.folder import dump_recipe
from tests.plans import PRUNED, STUDENT, TEACHER, model_like

SECOND = "{name: second, stage: finetune, model: MODEL, epochs: 1}"
TAUGHT_BY_TWO = "{name: student, stage: distill, teacher: [teacher, second], layers: 1}"
LOOKS_INSIDE = "{name: student, stage: distill, teacher: teacher, layers: 1, hidden_weight: 1}"


def test_several_teachers_are_inputs_of_their_own_and_all_count_in_the_key(plan):
    made = plan(TEACHER, SECOND, TAUGHT_BY_TWO).step("student")
    assert dict(made.inputs) == {"teacher": "teacher", "teacher 2": "second"}
    one, two = (plan(TEACHER, SECOND, TAUGHT_BY_TWO, **{"second.epochs": str(n)}).step("student") for n in (1, 2))
    assert one.identity.inputs["teacher"] == two.identity.inputs["teacher"]
    assert one.identity.key == made.identity.key != two.identity.key


def test_a_list_of_one_is_that_one(plan):
    plain, listed = (
        plan(TEACHER, f"{{name: student, stage: distill, teacher: {said}, layers: 1}}")
        for said in ("teacher", "[teacher]")
    )
    assert plain.step("student").identity.key == listed.step("student").identity.key


@pytest.mark.parametrize(
    ("teacher", "what"),
    [
        ("[]", "'teacher' is []"),
        ("[teacher, teacher]", "'teacher' is ['teacher', 'teacher']"),
        ("[teacher, 3]", "'teacher' is 3"),
        ("[teacher, nobody]", "'nobody' is neither an earlier step nor a model's folder"),
    ],
)
def test_a_list_that_names_no_teachers_is_refused(plan, teacher, what):
    with pytest.raises(InputError) as caught:
        plan(TEACHER, SECOND, f"{{name: student, stage: distill, teacher: {teacher}, layers: 1}}")
    assert caught.value.what == what
    assert caught.value.where.endswith("recipe.yaml:6")
    assert caught.value.fix


def test_teachers_of_other_labels_are_refused(plan, make_model, tmp_path):
    other = model_like(make_model(), tmp_path / "other", id2label={"0": "bad", "1": "ugly"})
    with pytest.raises(InputError, match="the model 'other' knows the labels 'bad', 'ugly', the data has"):
        plan(TEACHER, f"{{name: student, stage: distill, teacher: [teacher, {other}], layers: 1}}")


def test_a_role_that_takes_one_takes_no_list(plan):
    with pytest.raises(InputError, match=r"'teacher' is \['teacher', 'student'\]"):
        plan(TEACHER, STUDENT, PRUNED.replace("teacher: teacher", "teacher: [teacher, student]"))


def test_the_inside_of_several_teachers_is_not_looked_into(plan):
    with pytest.raises(InputError, match="step 'student': hidden_weight and relation_weight look inside one teacher"):
        plan(TEACHER, SECOND, TAUGHT_BY_TWO, **{"student.relation_weight": "1"})


def test_what_the_teacher_does_not_have_is_refused_for_distilling_and_recovering(plan):
    with pytest.raises(InputError, match="step 'student': relation_layer is 2, where the teacher has 2 layers"):
        plan(TEACHER, STUDENT, **{"student.relation_weight": "1", "student.relation_layer": "2"})
    recover = {"pruned.recover.hidden_weight": "1", "pruned.recover.hidden_layers": "[0, 1]"}
    with pytest.raises(InputError, match="step 'pruned': hidden_layers names 2 layers for a student of 1"):
        plan(TEACHER, STUDENT, PRUNED, **recover)
    assert plan(TEACHER, STUDENT, PRUNED, **recover, **{"pruned.recover.epochs": "0"}).step("pruned")


def test_a_student_with_a_tokenizer_of_its_own_learns_outputs_but_not_the_inside(plan, make_model, tmp_path):
    other = model_like(make_model(), tmp_path / "other")
    copy_tokenizer(make_model(), other)
    said = json.loads((other / "tokenizer.json").read_text())
    said["model"]["vocab"]["lively"] = said["model"]["vocab"].pop("lovely")
    (other / "tokenizer.json").write_text(json.dumps(said))
    step = f"{{name: student, stage: distill, teacher: teacher, student: {other}"
    assert plan(TEACHER, step + "}").step("student")
    with pytest.raises(InputError, match=r"step 'student': .* reads the same token ids as its teacher"):
        plan(TEACHER, step + ", hidden_weight: 1}")
    assert plan(TEACHER, LOOKS_INSIDE).step("student")


def test_a_student_with_a_trimmed_vocabulary_learns_outputs_but_not_the_inside(plan):
    trimmed = "{name: trimmed, stage: trim_vocabulary, model: teacher}"
    step = "{name: student, stage: distill, teacher: teacher, student: trimmed, layers: 1"
    assert plan(TEACHER, trimmed, step + "}").step("student")
    with pytest.raises(InputError, match=r"step 'student': .* reads the same token ids as its teacher"):
        plan(TEACHER, trimmed, step + ", relation_weight: 1}")
    both = "{name: student, stage: distill, teacher: trimmed, layers: 1, hidden_weight: 1}"
    assert plan(TEACHER, trimmed, both).step("student")


def test_a_student_of_an_unknown_family_is_not_looked_into(plan, make_model):
    start = make_model("squeezebert")
    with pytest.raises(InputError, match="see inside the student, whose architecture is not known"):
        plan(TEACHER, f"{{name: student, stage: distill, teacher: teacher, student: {start}, hidden_weight: 1}}")


def test_the_saved_recipe_names_each_teacher_by_its_full_path(plan, labelled, monkeypatch):
    monkeypatch.chdir(labelled.parent)
    made = plan(TEACHER, f"{{name: student, stage: distill, teacher: [teacher, ./{labelled.name}], layers: 1}}")
    assert f"- {labelled.resolve()}\n" in dump_recipe(made)
    assert "- teacher\n" in dump_recipe(made)
    assert str(labelled.parent.resolve()) not in dump_recipe(made, to_show=True)


def test_the_schema_takes_a_name_or_a_list():
    role = recipe_schema()["$defs"]["step.distill"]["properties"]["teacher"]
    assert [kind["type"] for kind in role["anyOf"]] == ["string", "array"]


def test_masked_words_need_a_model_with_a_head_for_them(plan, make_model, tmp_path):
    step = "{name: student, stage: distill, layers: 1, augment: {copies: 1, masked: 1}"
    with pytest.raises(InputError, match=r"augment\.masked needs a masked language model"):
        plan(TEACHER, step + "}")
    with pytest.raises(InputError, match="has no head for masked words; its class is BertModel"):
        plan(TEACHER, f"{step}, masked_model: {make_model()}}}")
    with pytest.raises(InputError, match="the step 'teacher' gives no masked language model"):
        plan(TEACHER, f"{step}, masked_model: teacher}}")
    fits = model_like(make_model(), tmp_path / "masked", architectures=["BertForMaskedLM"])
    planned = plan(TEACHER, f"{step}, masked_model: {fits}}}").step("student")
    assert set(planned.inputs) == {"teacher", "masked_model"}
    with pytest.raises(InputError, match="masked_model is named, and not used"):
        plan(TEACHER, f"{{name: student, stage: distill, layers: 1, masked_model: {fits}}}")
