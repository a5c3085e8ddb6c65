import csv
from pathlib import Path

import pytest

from compress.data.sources import Sources
from compress.planning.planner import make_plan
from compress.recipe.reading import Reading
from compress.recipe.yaml_file import load_recipe
from compress.starter import fetch, survey, write_starter
from compress.starter.roles import NONE_NAMED, Wishes


def starter(model, train, test, out, preset="small", wishes=NONE_NAMED):
    material = fetch(model, train, test, Sources())
    return write_starter(material, survey(material, wishes), out, preset)


@pytest.fixture
def start(tmp_path, make_model, monkeypatch):
    """Writes a starter into tmp_path/recipes for rows in tmp_path/data, and reads it back with its plan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "recipes").mkdir()

    def write_and_plan(
        rows,
        test=None,
        *,
        header=("text", "label"),
        name="starter.yaml",
        model=None,
        train="train.csv",
        preset="small",
        wishes=NONE_NAMED,
    ):
        for part, content in ((train, rows), ("test.csv", test)):
            with Path("data", part).open("w", newline="") as file:
                csv.writer(file).writerows([header, *(content or [])])
        out = Path("recipes", name)
        test_source = "data/test.csv" if test else None
        text = starter(model or str(make_model("bert")), f"data/{train}", test_source, out, preset, wishes)
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


def test_the_length_fits_nine_texts_of_ten_by_the_tokenizers_count(start):
    """A text of n words is n + 2 tokens."""
    for words, length, cut in ((30, 32, 0), (31, 64, 0), (126, 128, 0), (127, 256, 0), (400, 256, 100)):
        texts = [(f"{number} {'good ' * (words - 1)}", "ab"[number % 2]) for number in range(20)]
        recipe, _, text = start(texts)
        assert recipe.task.max_length == recipe.targets["cpu"].sequence_length == length
        assert f"# tokens kept of each text; {cut}% of the training texts are longer" in text
    long = [(f"{number} {'good ' * 50}", "good") for number in range(100, 103)]
    assert start([*rows(20), *long[:2]])[0].task.max_length == 32
    assert start([*rows(20), *long])[0].task.max_length == 64


def test_a_pair_is_measured_with_both_texts(start):
    pairs = [(number, f"{number} {'good ' * 19}", "bad " * 20, str(number % 2)) for number in range(30)]
    recipe, plan, _ = start(pairs, header=("id", "sentence1", "sentence2", "label"))
    assert recipe.task.columns == {"text": "sentence1", "text_pair": "sentence2", "label": "label"}
    assert recipe.task.max_length == 64
    assert plan.task.train[0].text_pair == "bad " * 20


@pytest.mark.parametrize(
    "header",
    [("a, b", "{c}"), ("text: it", "# label"), ("yes", "no"), ("1", "2"), ("'", '"'), ("é", "- x"), ("", "*l")],
)
def test_any_column_names_survive(start, header):
    recipe, plan, _ = start(rows(30), header=header, wishes=Wishes(text=header[0], label=header[1]))
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
    out.write_text(starter(str(make_model("bert")), "~/data/train.csv", None, out))
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
    recipe, plan, text = start(rows(64), model=str(make_model("squeezebert")))
    assert [step.stage for step in recipe.steps] == ["finetune", "export_onnx", "quantize_onnx_dynamic"]
    assert "of this architecture are not known" in text
    assert plan.step("teacher").shape is None


def test_signs_for_no_label_are_told_to_the_recipe(start):
    unsure = [("a film of no label", label) for label in ("-", "N/A", "?", "-")]
    recipe, plan, text = start([*rows(60), *unsure], rows(8, start=100))
    assert set(recipe.task.no_label) == {"-", "N/A", "?"}
    assert recipe.task.incomplete == "drop"
    assert "# 4 rows lack a text or a label" in text
    assert plan.task.labels == ("bad", "good")
    assert plan.task.notes[0] == "taken for no label in train.csv: '-' (2 rows), 'N/A' (1 rows), '?' (1 rows)"


@pytest.mark.parametrize(
    ("labels", "none", "classes"),
    [
        (("0", "1", "2", "-1"), ("-1",), ("0", "1", "2")),
        (("0", "1", "-1"), (), ("-1", "0", "1")),
        (("joy", "anger", "none"), (), ("anger", "joy", "none")),
    ],
)
def test_minus_one_is_no_label_beside_three_classes(start, labels, none, classes):
    recipe, plan, _ = start([(f"film {n} good", labels[n % len(labels)]) for n in range(48)])
    assert recipe.task.no_label == none
    assert plan.task.labels == classes


def test_skewed_classes_get_a_line_for_another_score(start):
    skewed = [*rows(60), *[(f"one more good {n}", "good") for n in range(100)]]
    recipe, plan, text = start(skewed)
    assert (recipe.task.metric, plan.task.spec.metric) == ("", "accuracy")
    assert "  # metric: f1_macro " in text
    assert any("task.metric: f1_macro weighs all alike" in note for note in plan.task.notes)
    assert "f1_macro" not in start(rows(60), name="even.yaml")[2]


def test_how_a_file_is_read_is_told_to_the_recipe(make_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["text~label", *(f"größer {number} good~{'ja' if number % 2 else 'nein'}" for number in range(30))]
    Path("train.csv").write_text("\n".join(lines), encoding="cp1252")
    material = fetch(str(make_model()), "train.csv", None, Sources(), Reading("cp1252", "~"))
    Path("a.yaml").write_text(write_starter(material, survey(material), Path("a.yaml")))
    recipe, origin = load_recipe(Path("a.yaml"))
    assert (recipe.task.encoding, recipe.task.delimiter) == ("cp1252", "~")
    assert make_plan(recipe, origin).task.labels == ("ja", "nein")
