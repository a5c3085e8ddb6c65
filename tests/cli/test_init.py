"""`compress init`: a recipe that plans, or nothing."""

import csv
import json
from pathlib import Path

import pytest

from compress.cli.init import AS_IT_IS
from compress.models.load import save_model
from compress.models.tokenizer import copy_tokenizer
from compress.recipe.yaml_file import load_recipe
from tests.conftest import write_reviews
from tests.plans import model_like


@pytest.fixture
def init(make_model, reviews):
    """The command with a model and rows that fit."""
    return ("init", "--model", make_model(), "--train", reviews / "train.csv")


def test_the_recipe_that_init_writes_plans_and_its_file_is_named(cli, init, reviews):
    said = cli(*init, "--test", reviews / "test.csv", "--out", "my recipe.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith(
        "wrote my recipe.yaml: 58 training rows, 2 labels\n"
        "check it:  compress plan 'my recipe.yaml'\n"
        "run it:    compress run 'my recipe.yaml'\n"
    )
    plan = json.loads(cli("plan", "my recipe.yaml", "--no-forecast", "--json").out)
    assert plan["recipe"] == "my-recipe"
    assert [step["step"] for step in plan["steps"] if not step["only_measured"]] == ["teacher"]
    assert plan["searches"]


def test_what_was_taken_is_shown(cli, init, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = cli(*init).out.splitlines()
    assert lines[:3] == ["train.csv: 64 rows, 2 columns", "  text         text", "  label        label"]
    assert [line[:7] for line in lines[3:6]] == ["  bad   ", "  good  ", "  bad   "] or all(
        line[2:6] in {"bad ", "good"} for line in lines[3:6]
    )
    assert lines[6] == "classes: 2, in 64 rows"
    assert lines[7].split()[:3] == ["bad", "32", "50%"]
    assert (
        lines[9] == "a first look: counting words tells the label in 100% of rows, always saying the commonest in 50%"
    )
    assert lines[10].startswith("tokens of a text: ")
    assert lines[10].endswith("; 32 are kept")
    assert max(len(line) for line in lines[:6]) <= 60


def test_long_tables_are_cut_and_left_out_columns_are_told(cli, init, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    header = ["id", "text", *(f"extra column number {number}" for number in range(14)), "label"]
    rows = [[n, f"a film of {n} good words, long enough to be cut", *["x"] * 14, f"c{n % 12}"] for n in range(120)]
    with Path("wide.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    out = cli(*init[:3], "--train", "wide.csv").out
    assert "  left out     id                      an index\n" in out
    assert "  left out     3 more columns\n" in out
    assert "  … 4 more, the rarest with 10: c11\n" in out
    assert "other ones: --text-column, --text-pair-column, --label-column\n" in out
    assert all(len(line) <= 50 for line in out.splitlines() if line.startswith("  "))
    assert any(line.endswith("…") for line in out.splitlines())


def test_without_test_rows_a_fifth_of_train_is_held_out_and_told(cli, init):
    said = cli(*init)
    assert "note: the test rows are 20% of the training file, drawn by the seed\n" in said.out
    assert "13 test rows" in cli("plan", "recipe.yaml", "--no-forecast").out


def test_columns_are_named_by_options_and_told_to_programs(cli, init):
    with Path("rows.csv").open("w", newline="") as file:
        rows = [[f"the film {n} was good", f"it was bad {n}", "ab"[n % 2], "xyz"[n % 3]] for n in range(60)]
        csv.writer(file).writerows([["comment", "reply", "priority", "topic"], *rows])
    named = ("--text-column", "comment", "--text-pair-column", "reply", "--label-column", "priority")
    told = json.loads(cli(*init[:3], "--train", "rows.csv", *named, "--json").out)
    assert told["columns"] == {"text": "comment", "text_pair": "reply", "label": "priority"}
    assert told["left_out"] == {"topic": "another label? 3 different values"}
    assert told["classes"] == {"a": 30, "b": 30}
    assert told["tokens"]["kept"] == 32
    assert set(told["told_by_words"]) == {"accuracy", "commonest"}


def test_two_readings_are_refused_without_a_terminal_and_asked_on_one(cli, refused, init, monkeypatch):
    with Path("rows.csv").open("w", newline="") as file:
        rows = [[f"the film {n} was good", "ab"[n % 2], "xyz"[n % 3]] for n in range(60)]
        csv.writer(file).writerows([["body", "priority", "topic"], *rows])
    arguments = (*init[:3], "--train", "rows.csv")
    error = refused(*arguments)
    assert error.fix == "add --label-column topic, or --label-column priority"
    assert not Path("recipe.yaml").exists()
    monkeypatch.setattr("compress.cli.survey.is_interactive", lambda: True)
    for answers, label in ((["none", "9", "2"], "priority"), (["topic"], "topic")):
        typed = iter(answers)
        monkeypatch.setattr("typer.prompt", lambda text, err, typed=typed: next(typed))
        said = cli(*arguments, "--force")
        assert said.code == 0
        assert f"  label        {label}\n" in said.out
        assert "rows.csv has several columns that may be the label:\n  1  topic     3 classes" in said.err
        assert said.err.count("is none of them: a number from 1 to 2, or a name") == len(answers) - 1


def test_how_a_file_is_read_is_asked_on_a_terminal(cli, refused, init, monkeypatch):
    lines = [
        "text,label",
        *(f"le café {number} était « bon »,{'oui' if number % 2 else 'non'}" for number in range(30)),
    ]
    Path("rows.csv").write_text("\n".join(lines), encoding="cp1252")
    arguments = (*init[:3], "--train", "rows.csv")
    assert "--encoding latin-1" in refused(*arguments).fix
    assert cli(*arguments, "--encoding", "cp1252", "--out", "given.yaml").code == 0
    assert "encoding: cp1252" in Path("given.yaml").read_text()
    monkeypatch.setattr("compress.cli.survey.is_interactive", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda text, err: "1")
    assert cli(*arguments).code == 0
    assert "encoding: latin-1" in Path("recipe.yaml").read_text()
    assert refused(*arguments, "--force", "--encoding", "cp9999").where == "--encoding"
    assert refused(*arguments, "--force", "--delimiter", "a").where == "--delimiter"


def test_presets_are_named(cli, refused, init):
    error = refused(*init, "--preset", "strong")
    assert error.what == "there is no preset 'strong'"
    assert error.fix == "did you mean 'strongest'? accepted: search, small, strongest"
    assert cli(*init, "--preset", "strongest").code == 0
    plan = json.loads(cli("plan", "recipe.yaml", "--no-forecast", "--json").out)
    own = [step["step"] for step in plan["steps"] if not step["only_measured"]]
    assert own == ["teacher", "trimmed", "student", "onnx", "skipped", "int8"]
    assert cli(*init, "--preset", "small", "--force").code == 0
    plan = json.loads(cli("plan", "recipe.yaml", "--no-forecast", "--json").out)
    assert [step["step"] for step in plan["steps"]][:5] == ["teacher", "student", "pruned", "onnx", "int8"]
    assert not plan["searches"]


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
        ("a,b\n1,2\n3,4\n5,6\n", "no column of rows.csv looks like a text", "name it with --text-column: a, b"),
        ("text,label\na,good\nb,bad\n", "2 training rows are too few to hold test rows out", "give more rows"),
        ("text,label\na,good\nb,good\n", "all rows have the label 'good'", "name the label's column with"),
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
    assert cli("init", "--model", strange, "--train", reviews / "train.csv", "--preset", "small").code == 0
    text = Path("recipe.yaml").read_text()
    assert "of this architecture are not known" in text
    assert "prune_structured" not in text


@pytest.fixture
def fine_tuned(make_classifier, make_model):
    """A classifier with the data's labels, in another order."""
    model = make_classifier("bert")
    model.config.id2label, model.config.label2id = {0: "good", 1: "bad"}, {"good": 0, "bad": 1}
    save_model(model, Path("fine-tuned"))
    copy_tokenizer(make_model(), Path("fine-tuned"))
    return Path("fine-tuned")


@pytest.mark.parametrize("preset", ["search", "small", "strongest"])
def test_a_model_that_gives_the_labels_already_is_taken_as_it_is_unless_told(cli, init, fine_tuned, preset):
    arguments = ("init", "--model", fine_tuned, *init[3:], "--preset", preset)
    said = cli(*arguments)
    assert (said.code, said.err) == (0, "")
    assert said.out.count(f"{AS_IT_IS}\n") == 1
    text = Path("recipe.yaml").read_text()
    assert "the teacher: the model as it is, since it gives your labels already" in text
    assert "if the model has learned from train, better give a test file" in text
    assert ": fine-tune" not in text.splitlines()[0]
    assert load_recipe(Path("recipe.yaml"))[0].steps[0].settings["epochs"] == 0
    trained = cli(*arguments, "--finetune", "--force")
    assert AS_IT_IS not in trained.out
    assert load_recipe(Path("recipe.yaml"))[0].steps[0].settings["epochs"] > 0
    assert json.loads(cli(*arguments, "--force", "--json").out)["fine_tunes"] is False


@pytest.mark.parametrize(
    "labels", [{}, {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, {"architectures": ["BertModel"]}]
)
def test_a_model_of_other_labels_or_without_a_head_is_trained(cli, init, fine_tuned, tmp_path, labels):
    model = model_like(fine_tuned, tmp_path / "other", **labels) if labels else init[2]
    assert AS_IT_IS not in cli("init", "--model", model, *init[3:]).out
    assert load_recipe(Path("recipe.yaml"))[0].steps[0].settings["epochs"] > 0


@pytest.mark.slow
@pytest.mark.int8
@pytest.mark.parametrize("preset", ["search", "small", "strongest"])
def test_a_preset_runs_in_rehearsal(cli, init, preset):
    assert cli(*init, "--preset", preset).code == 0
    said = cli("run", "recipe.yaml", "--smoke")
    assert said.code == 0, said.err
    assert said.out.startswith("every step and the measuring works")
