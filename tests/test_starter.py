import csv
from pathlib import Path

import pytest

from compress.data.sources import Sources
from compress.data.tables import Table
from compress.errors import InputError
from compress.planning import make_plan
from compress.recipe_yaml import load_recipe
from compress.starter import guess_columns, write_starter

FILMS = ["a fine film", "a bad film", "a dull film", "some film"]


def table(**columns):
    return Table("a.csv", tuple(columns), list(zip(*columns.values(), strict=True)))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": FILMS, "label": "0101"}, ("text", "label")),
        ({"label": "0101", "text": FILMS}, ("text", "label")),
        ({"Category": "abab", "Text": FILMS}, ("Text", "Category")),
        ({"id": "1234", "sentence": FILMS, "stars": "1551"}, ("sentence", "stars")),
        ({"notes": FILMS, "group": "0101", "id": "1234"}, ("notes", "group")),
        ({"spam": "0101", "mail": FILMS}, ("mail", "spam")),
        ({"source": "wwww", "mail": FILMS, "spam": "0101"}, ("mail", "spam")),
        ({"title": ["x"] * 4, "text": FILMS, "target": "0101", "label": "0011"}, ("text", "label")),
        ({"text": FILMS, "topic": "0101", "sentiment": "0110"}, ("text", "sentiment")),
        ({"": "0101", "Unnamed: 0": "0101", "mail": FILMS, "spam": "0011"}, ("mail", "spam")),
        ({" Text ": FILMS, "group": "0011", "Label\ufeff": "0101"}, (" Text ", "Label\ufeff")),
    ],
)
def test_columns_are_guessed_by_name_and_then_by_content(columns, expected):
    assert guess_columns(table(**columns)) == expected


def test_one_column_is_too_few():
    with pytest.raises(InputError, match=r"a.csv has only the column 'text'") as caught:
        guess_columns(table(text=FILMS))
    assert caught.value.fix == "a text and a label are needed, each below its column's name"


def test_a_label_with_a_value_of_its_own_in_each_row_is_none():
    numbers = [str(number) for number in range(20)]
    with pytest.raises(InputError, match="'number' has 20 distinct values") as caught:
        guess_columns(table(text=[f"film {number}" for number in numbers], number=numbers))
    assert caught.value.fix == "write the recipe by hand; the columns are text, number"


@pytest.fixture
def start(tmp_path, make_model, monkeypatch):
    """Writes a starter into tmp_path/recipes for rows in tmp_path/data, and reads it back with its plan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "recipes").mkdir()

    def write_and_plan(
        rows, test=None, *, header=("text", "label"), name="starter.yaml", model=None, train="train.csv"
    ):
        for part, content in ((train, rows), ("test.csv", test)):
            with Path("data", part).open("w", newline="") as file:
                csv.writer(file).writerows([header, *(content or [])])
        out = Path("recipes", name)
        test_source = "data/test.csv" if test else None
        text = write_starter(model or str(make_model("bert")), f"data/{train}", test_source, Sources(), out)
        out.write_text(text)
        recipe, origin = load_recipe(out)
        return recipe, make_plan(recipe, origin), text

    return write_and_plan


def rows(count, words=6, start=0):
    return [(f"film {n} " + "good " * (words - 2), "bad" if n % 2 else "good") for n in range(start, start + count)]


def test_a_starter_loads_and_plans(start):
    recipe, plan, _ = start(rows(64))
    assert [step.stage for step in recipe.steps] == [
        "finetune",
        "distill",
        "prune_structured",
        "export_onnx",
        "quantize_onnx_dynamic",
    ]
    assert recipe.name == "starter"
    assert recipe.task.columns == {"text": "text", "label": "label"}
    assert recipe.task.train == "../data/train.csv"
    assert [step.shape.layers for step in plan.steps if not step.only_measured] == [2, 1, 1, 1, 1]
    assert plan.task.labels == ("bad", "good")
    assert plan.baseline == "teacher"


def test_without_a_test_file_a_fifth_of_train_is_held_out(start):
    recipe, plan, _ = start(rows(60))
    assert (recipe.task.test, recipe.task.test_fraction) == (None, 0.2)
    assert (len(plan.task.test), len(plan.task.train), len(plan.task.validation)) == (12, 43, 5)


def test_with_a_test_file_all_of_train_is_kept(start):
    recipe, plan, _ = start(rows(60), rows(10, start=100))
    assert (recipe.task.test, recipe.task.test_fraction) == ("../data/test.csv", None)
    assert (len(plan.task.test), len(plan.task.train) + len(plan.task.validation)) == (10, 60)


@pytest.mark.parametrize(("count", "epochs"), [(30, 10), (2_000, 4), (9_000, 2)])
def test_fewer_rows_are_trained_for_more_epochs(start, count, epochs):
    recipe, _, _ = start(rows(count))
    assert [step.settings.get("epochs") for step in recipe.steps[:2]] == [epochs, 2 * epochs]
    assert recipe.steps[2].settings["recover"]["epochs"] == epochs


@pytest.mark.parametrize(("words", "length"), [(6, 32), (22, 32), (23, 64), (60, 128), (1000, 256)])
def test_the_length_fits_nine_texts_of_ten(start, words, length):
    recipe, _, text = start([*rows(89, words=words), *rows(10, words=2 * words, start=89), ("x", "bad")])
    assert recipe.task.max_length == recipe.targets["cpu"].sequence_length == length
    longer = 100 * (words * 1.4 > length) or 10 * (2 * words * 1.4 > length)
    assert f"# tokens kept of each text; {min(longer, 99)}% of the training texts are probably longer" in text


@pytest.mark.parametrize(
    "header",
    [("a, b", "{c}"), ("text: it", "# label"), ("yes", "no"), ("1", "2"), ("'", '"'), ("é", "- x"), ("", "*l")],
)
def test_any_column_names_survive(start, header):
    recipe, plan, _ = start(rows(30), header=header)
    assert recipe.task.columns == {"text": header[0], "label": header[1]}
    assert plan.task.labels == ("bad", "good")


@pytest.mark.parametrize("train", ["a, b.csv", "it's [here] {there}.csv", "# rows.csv", "a: b.csv"])
def test_any_file_names_survive(start, train):
    assert start(rows(30), train=train)[0].task.train == f"../data/{train}"


def test_a_model_in_a_folder_with_any_name_survives(start, make_model, tmp_path):
    (tmp_path / "data" / "a, {b}").symlink_to(make_model("bert"))
    assert start(rows(30), model="data/a, {b}/")[0].steps[0].settings["model"] == "../data/a, {b}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my films.yaml", "my-films"),
        ("2024.yaml", "2024"),
        (".films.yaml", "films"),
        ("é.yaml", "recipe"),
        ("a.b.yml", "a.b"),
    ],
)
def test_the_run_is_named_like_the_file_as_far_as_a_name_allows(start, name, expected):
    assert start(rows(30), name=name)[0].name == expected


def test_a_path_from_the_home_folder_stays_one(start, make_model, tmp_path, monkeypatch):
    start(rows(30))
    monkeypatch.setenv("HOME", str(tmp_path))
    out = Path("recipes", "home.yaml")
    out.write_text(write_starter(str(make_model("bert")), "~/data/train.csv", None, Sources(), out))
    recipe, origin = load_recipe(out)
    assert recipe.task.train == "~/data/train.csv"
    assert len(make_plan(recipe, origin).task.test) == 6


def test_test_rows_in_train_are_dropped_by_a_starter(start):
    recipe, plan, _ = start(rows(60), rows(10))
    assert (recipe.task.overlap, plan.task.overlap) == ("drop", 10)
    assert len(plan.task.train) + len(plan.task.validation) == 50


def test_rows_that_lack_a_label_are_dropped_by_a_starter(start):
    recipe, plan, *_ = start([*rows(60), ("a film without a label", "")])
    assert recipe.task.incomplete == "drop"
    assert any("without a text or a label" in note for note in plan.task.notes)
    whole, *_ = start(rows(60), name="whole.yaml")
    assert whole.task.incomplete == "refuse"


def test_an_architecture_that_is_not_known_is_neither_distilled_nor_pruned(start, make_model):
    recipe, plan, text = start(rows(64), model=str(make_model("albert")))
    assert [step.stage for step in recipe.steps] == ["finetune", "export_onnx", "quantize_onnx_dynamic"]
    assert "of this architecture are not known" in text
    assert plan.step("teacher").shape is None
