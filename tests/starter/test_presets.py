"""`init --preset strongest`: the shipped recipes' settings, scaled by rule; every one of them plans."""

import pytest
import yaml

from compress.errors import InputError
from compress.models.architectures import Shape, read_shape
from compress.planning.planner import make_plan
from compress.recipe.yaml_file import load_recipe
from compress.starter.presets import small, strongest, teacher_epochs


def shape(hidden=384, layers=6, head_size=32, neurons=1536, family="bert"):
    heads = hidden // head_size
    config = {"model_type": family, "num_hidden_layers": layers, "hidden_size": hidden}
    return read_shape({**config, "num_attention_heads": heads, "intermediate_size": neurons})


def steps_of(made):
    return {step["name"]: step for step in yaml.safe_load(f"steps:\n{made.text}")["steps"]}


def classes(number, rows):
    return {f"c{index}": rows for index in range(number)}


def test_on_data_like_the_shipped_recipes_the_student_is_theirs():
    r8 = steps_of(strongest("model", shape(), classes(8, 5485 // 8)))
    student = r8["student"]
    assert (student["layers"], student["hidden"], student["heads"], student["ffn"]) == (2, 128, 4, 256)
    assert (student["epochs"], student["learning_rate"], student["head_learning_rate"]) == (8, 2e-3, 6e-3)
    assert student["augment"] == {"copies": 3}
    news = steps_of(strongest("model", shape(), classes(20, 565)))["student"]
    assert (news["hidden"], news["heads"], news["ffn"]) == (160, 5, 480)
    assert news["augment"] == {"copies": 2, "mix": 0.5}
    assert (r8["teacher"]["epochs"], teacher_epochs(5485)) == (3, 2)
    assert list(r8) == ["teacher", "trimmed", "student", "onnx", "skipped", "int8"]


@pytest.mark.parametrize(
    ("rows", "copies", "epochs"), [(100, 10, 20), (1_600, 10, 10), (4_000, 4, 9), (20_000, 2, 4), (10**6, 2, 4)]
)
def test_few_rows_get_more_variants_and_passes(rows, copies, epochs):
    student = steps_of(strongest("model", shape(), classes(2, rows // 2)))["student"]
    assert (student["augment"]["copies"], student["epochs"]) == (copies, epochs)


def test_rare_labels_get_variants_until_they_are_as_many_as_common_ones():
    rare = steps_of(strongest("model", shape(), {"a": 3000, "b": 12}))["student"]["augment"]
    assert rare == {"copies": 5, "per_label": 200}


@pytest.mark.parametrize(
    ("hidden", "head_size", "neurons", "expected", "rate"),
    [(768, 64, 3072, (256, 4, 512), 1.4e-3), (384, 32, 1536, (128, 4, 256), 2e-3), (32, 8, 64, (8, 1, 16), 2e-3)],
)
def test_a_wider_teacher_has_a_wider_student_that_learns_more_slowly(hidden, head_size, neurons, expected, rate):
    made = shape(hidden, 12, head_size, neurons)
    student = steps_of(strongest("model", made, classes(2, 1000)))["student"]
    assert (student["hidden"], student["heads"], student["ffn"]) == expected
    assert student["learning_rate"] == rate


def test_heads_that_read_another_token_than_the_first_have_no_step_for_it():
    assert "skipped" not in steps_of(strongest("model", shape(family="modernbert"), classes(2, 100)))


def test_a_model_that_no_student_can_be_cut_out_of_is_refused():
    with pytest.raises(InputError, match="an architecture whose parts are not known") as caught:
        strongest("model", None, classes(2, 100))
    assert (caught.value.where, caught.value.fix) == ("--preset", "take --preset small")
    pruned = Shape("bert", 2, 32, 8, heads=(2, 4), neurons=(64, 64))
    with pytest.raises(InputError, match="is pruned already"):
        strongest("model", pruned, classes(2, 100))


@pytest.mark.parametrize(("rows", "epochs"), [(0, 10), (30, 10), (2_000, 4), (9_000, 2)])
def test_a_teacher_sees_few_rows_more_often(rows, epochs):
    assert teacher_epochs(rows) == epochs
    assert f"epochs: {epochs}," in small("model", shape(), {"a": rows}).text


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "modernbert"])
def test_a_recipe_of_full_strength_plans(cli_starter, family):
    out = cli_starter(family, "strongest")
    recipe, origin = load_recipe(out)
    shapes = {step.name: step.shape for step in make_plan(recipe, origin).steps}
    assert (shapes["student"].layers, shapes["student"].hidden, shapes["student"].heads) == (2, 8, (1, 1))
    assert recipe.goal.min_speedup == 3


@pytest.fixture
def cli_starter(make_model, reviews, tmp_path):
    from compress.data.sources import Sources
    from compress.starter import fetch, survey, write_starter

    def write(family, preset):
        material = fetch(str(make_model(family)), str(reviews / "train.csv"), None, Sources())
        out = tmp_path / "recipe.yaml"
        out.write_text(write_starter(material, survey(material), out, preset))
        return out

    return write
