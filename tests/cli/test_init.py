"""`compress init`: a recipe that plans, or nothing."""

import json
from pathlib import Path

import pytest

from tests.conftest import write_reviews
from tests.plans import model_like


@pytest.fixture
def init(make_model, reviews):
    """The command with a model and rows that fit."""
    return ("init", "--model", make_model(), "--train", reviews / "train.csv")


def test_the_recipe_that_init_writes_plans_and_its_file_is_named(cli, init, reviews):
    said = cli(*init, "--test", reviews / "test.csv", "--out", "my recipe.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "wrote my recipe.yaml: 58 training rows, 2 labels\n"
        "check it:  compress plan 'my recipe.yaml'\n"
        "run it:    compress run 'my recipe.yaml'\n"
    )
    plan = json.loads(cli("plan", "my recipe.yaml", "--no-forecast", "--json").out)
    assert plan["recipe"] == "my-recipe"
    assert [step["step"] for step in plan["steps"]][:5] == ["teacher", "student", "pruned", "onnx", "int8"]


def test_without_test_rows_a_fifth_of_train_is_held_out_and_told(cli, init):
    said = cli(*init)
    assert said.out.startswith("wrote recipe.yaml: 46 training rows, 2 labels\nnote: the test rows are 20% of the tr")
    assert "13 test rows" in cli("plan", "recipe.yaml", "--no-forecast").out


def test_a_file_that_is_there_is_kept_unless_forced(cli, refused, init):
    Path("recipe.yaml").write_text("mine")
    error = refused(*init)
    assert (error.what, error.where) == ("'recipe.yaml' is there already", "--out")
    assert error.fix == "name another file, or add --force"
    assert Path("recipe.yaml").read_text() == "mine"
    assert cli(*init, "--force").code == 0
    assert Path("recipe.yaml").read_text().startswith("# ")


@pytest.mark.parametrize(
    ("rows", "what", "fix"),
    [
        ("one\nx\n", "rows.csv has only the column 'one'", "a text and a label are needed, each below its"),
        ("a,b\n1,2\n3,4\n5,6\n", "no column of rows.csv looks like a label", "write the recipe by hand; the columns"),
        ("text,label\na,good\nb,bad\n", "2 training rows are too few to hold test rows out", "give more rows"),
        ("text,label\na,good\nb,good\n", "all training rows have the label 'good'", "check columns.label"),
        ("text,label\n,good\n,bad\n", "no row of rows.csv has both a text and a label", "check task.columns"),
        ("text,label\n", "'rows.csv' holds no rows", "give a file with a header and rows"),
    ],
)
def test_rows_that_make_no_recipe_leave_no_file(refused, make_model, rows, what, fix):
    Path("rows.csv").write_text(rows)
    error = refused("init", "--model", make_model(), "--train", "rows.csv")
    assert error.what.startswith(what)
    assert error.fix.startswith(fix)
    assert [path.name for path in Path().iterdir()] == ["rows.csv"]


def test_what_is_not_there_is_told_with_its_option(refused, init):
    error = refused("init", "--model", "nowhere", *init[3:])
    assert (error.what, error.where) == ("the model 'nowhere' does not exist", "--model")
    error = refused(*init[:3], "--train", "nowhere.csv")
    assert (error.what, error.where) == ("the data file 'nowhere.csv' does not exist", "--train")
    assert refused(*init, "--out", "none/a.yaml", code=1).what == "cannot write: No such file or directory"


def test_test_rows_that_are_the_training_rows_are_refused(refused, init, reviews):
    error = refused(*init, "--test", reviews / "train.csv")
    assert error.what == "all training rows also stand in test, so none is left to train on"
    assert not Path("recipe.yaml").exists()


def test_test_rows_that_also_stand_in_train_are_left_out_and_told(cli, init, reviews):
    lines = (reviews / "train.csv").read_text().splitlines(keepends=True)
    write_reviews(Path("test.csv"), 30, seed=9)
    with Path("test.csv").open("a") as file:
        file.writelines(lines[1:5])
    said = cli(*init, "--test", "test.csv")
    assert "note: 4 of 34 test rows also stand in train (left out of train)\n" in said.out


def test_a_model_whose_layers_are_not_known_gets_a_recipe_that_leaves_them(cli, make_model, reviews, tmp_path):
    strange = model_like(make_model(), tmp_path / "strange", model_type="strange")
    assert cli("init", "--model", strange, "--train", reviews / "train.csv").code == 0
    text = Path("recipe.yaml").read_text()
    assert "of this architecture are not known" in text
    assert "prune_structured" not in text
