import csv
from pathlib import Path

import pytest

from compress.data.sources import Sources
from compress.errors import InputError
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import UNKNOWN, load_task, names
from compress.tasks.text_classification import Row

TRAIN = [(f"train {number}", "bad" if number % 2 else "good") for number in range(20)]
TEST = [(f"test {number}", "bad" if number % 2 else "good") for number in range(6)]
LINES = {("task", key): line for line, key in enumerate(("type", "train", "validation", "test", "columns"), 3)}
ORIGIN = Origin("recipe.yaml", {**LINES, ("task", "columns", "label"): 8, ("task", "unlabelled"): 9})


@pytest.fixture
def load(tmp_path):
    """Loads a task from lists of rows; a part that is None is left out."""

    def write(part, rows, header):
        with (tmp_path / f"{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return f"{part}.csv"

    def load_rows(
        train=TRAIN, test=TEST, validation=None, more=None, *, header=("text", "label"), seed=0, labels=None, **spec
    ):
        parts = {"train": train, "test": test, "validation": validation}
        if more is not None:
            spec["unlabelled"] = write("unlabelled", more, spec.pop("more_header", ("text",)))
        sources = {part: write(part, rows, header) for part, rows in parts.items() if rows is not None}
        return load_task(TaskSpec(**sources, **spec), Sources(tmp_path).table, seed, ORIGIN, labels)

    return load_rows


@pytest.fixture
def refused(load):
    def refuse(*rows, **spec):
        with pytest.raises(InputError) as caught:
            load(*rows, **spec)
        assert caught.value.fix
        return caught.value

    return refuse


def texts(rows):
    return [row.text for row in rows]


def test_rows_are_read_split_and_numbered(load):
    task = load()
    assert task.labels == ("bad", "good")
    assert (len(task.train), len(task.validation), len(task.test)) == (18, 2, 6)
    assert sorted(texts(task.train + task.validation)) == sorted(text for text, _ in TRAIN)
    assert task.test[0] == Row("test 0", None, 1)
    assert (task.overlap, task.notes) == (0, ())


def test_the_split_depends_on_the_seed(load):
    assert texts(load(seed=1).validation) == texts(load(seed=1).validation)
    assert texts(load(seed=1).validation) != texts(load(seed=2).validation)


def test_a_validation_file_leaves_train_whole(load):
    task = load(validation=[("held", "good"), ("out", "bad")])
    assert (len(task.train), texts(task.validation)) == (20, ["held", "out"])


def test_columns_map_roles_to_names(load):
    task = load(header=("review", "stars"), columns={"text": "review", "label": "stars"})
    assert task.test[1] == Row("test 1", None, 0)


def test_a_pair_of_texts_is_read(load):
    rows = [(f"a {n}", f"b {n}", str(n % 2)) for n in range(10)]
    task = load(rows, None, header=("one", "two", "label"), columns={"text": "one", "text_pair": "two"})
    assert {(row.text, row.text_pair) for row in task.train} <= {(a, b) for a, b, _ in rows}
    assert len(task.train) == 9


@pytest.mark.parametrize(
    ("columns", "what", "line", "fix"),
    [
        ({"label": "labl"}, "train.csv has no column 'labl'", 8, "did you mean 'label'?"),
        ({"text": "body"}, "train.csv has no column 'body'", 7, "accepted: label, text"),
        ({"text_pair": "other"}, "train.csv has no column 'other'", 7, "accepted: label, text"),
        ({"txt": "text"}, "text_classification has no column role 'txt'", 7, "did you mean 'text'?"),
    ],
)
def test_a_missing_column_or_role_is_told(refused, columns, what, line, fix):
    error = refused(columns=columns)
    assert (error.what, error.where) == (what, f"recipe.yaml:{line}")
    assert fix in error.fix


def test_an_unknown_task_lists_the_known_ones(refused):
    error = refused(type="text_clasification")
    assert error.what == "unknown task type 'text_clasification'"
    assert "did you mean 'text_classification'?" in error.fix
    assert error.where == "recipe.yaml:3"
    assert "text_classification" in names()


def test_an_unknown_metric_lists_those_that_the_task_knows(load):
    origin = Origin("recipe.yaml", {("task", "metric"): 9})
    with pytest.raises(InputError) as raised:
        load_task(TaskSpec(metric="f1_marco"), lambda *_: None, 0, origin)
    error = raised.value
    assert error.what == "'task.metric' is 'f1_marco': text_classification is scored by accuracy or f1_macro"
    assert "did you mean 'f1_macro'?" in error.fix
    assert error.where == "recipe.yaml:9"
    assert (load().spec.metric, load(metric="f1_macro").spec.metric) == ("accuracy", "f1_macro")


@pytest.mark.parametrize(("part", "line"), [("test", 6), ("validation", 5)])
def test_labels_that_train_does_not_know_are_counted_and_told(refused, part, line):
    rows = [("x", "good"), ("y", "ugly"), ("z", "ugly"), ("w", "fair")]
    error = refused(**{part: rows})
    assert error.what == f"3 of 4 {part} rows have unknown labels: 'fair', 'ugly'"
    assert (error.where, error.fix) == (f"recipe.yaml:{line}", "known labels: 'bad', 'good'")


def test_a_models_labels_come_before_the_datas(load, refused):
    assert load(labels=["good", "bad"]).labels == ("good", "bad")
    assert load(labels=["good", "bad"]).test[0].label == 0
    assert refused(labels=["good", "fine"]).what == "10 of 20 train rows have unknown labels: 'bad'"


def test_many_labels_are_shortened_in_a_message(load):
    rows = [(f"text {n}", f"class {n % 30:02}") for n in range(60)]
    with pytest.raises(InputError, match=r"'class 05', … \(30 in all\)"):
        load(rows, None).check_labels({0: "a"}, "m", None)


def test_a_single_label_is_refused(refused):
    error = refused([("a", "good"), ("b", "good ")], None)
    assert (error.what, error.where) == ("all training rows have the label 'good'", "recipe.yaml:4")


def test_test_rows_of_a_single_label_are_refused(refused):
    error = refused(test=[("one", "good"), ("two", "good")])
    assert (error.what, error.where) == ("all 2 test rows have the label 'good'", "recipe.yaml:6")
    assert "at least two classes" in error.fix


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["10", "9", "2"], ("2", "9", "10")),
        (["1", "-1", "0"], ("-1", "0", "1")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["1.5", "10", "9"], ("1.5", "10", "9")),
        (["--1", "-", "3"], ("-", "--1", "3")),
        (["01", "1", "0"], ("0", "01", "1")),
        ([" b", "a ", "b"], ("a", "b")),
    ],
)
def test_whole_numbers_are_ordered_as_numbers_and_all_else_as_text(load, found, expected):
    assert load([(f"text {n}", label) for n, label in enumerate(found)], None).labels == expected


INCOMPLETE = [*TRAIN, ("no label", ""), ("blank label", "  "), ("  ", "good"), ("", "")]


def test_rows_without_a_text_or_a_label_are_refused_and_counted(refused):
    error = refused(INCOMPLETE)
    assert error.what == "4 of 24 rows of train.csv lack a text or a label"
    assert error.where == "recipe.yaml:4"
    assert "task.incomplete: drop" in error.fix


def test_rows_without_a_text_or_a_label_are_dropped_and_reported(load):
    task = load(INCOMPLETE, [*TEST, ("no label", "")], incomplete="drop")
    assert (len(task.train) + len(task.validation), len(task.test)) == (20, 6)
    assert task.notes == ("5 rows without a text or a label were left out",)
    assert task.train_key == load().train_key


def test_a_file_of_incomplete_rows_alone_is_refused(refused):
    error = refused([("a", ""), ("", "b")], incomplete="drop")
    assert error.what == "no row of train.csv has both a text and a label"


LEAKED = [*TEST, ("train 3 ", "bad"), ("train 4", "bad"), ("train 4", "good")]


def test_test_rows_in_train_are_refused_and_counted(refused):
    error = refused(test=LEAKED)
    assert error.what.startswith("3 of 9 test rows also stand in train")
    assert error.where == "recipe.yaml:6"
    assert "task.overlap: drop" in error.fix


def test_test_rows_in_train_are_allowed_and_reported(load):
    task = load(test=LEAKED, overlap="allow")
    assert (task.overlap, len(task.train) + len(task.validation)) == (3, 20)
    assert task.notes == ("3 of 9 test rows also stand in train (allowed by the recipe)",)
    assert task.train_key != load().train_key, "a stage that calibrates leaves these rows out"
    assert load(test=LEAKED, overlap="allow").train_key == task.train_key


def test_test_rows_in_train_are_dropped_from_train_and_reported(load):
    task = load(test=LEAKED, overlap="drop")
    assert (task.overlap, len(task.test)) == (3, 9)
    left = texts(task.train + task.validation)
    assert (len(left), "train 3" in left, "train 4" in left) == (18, False, False)
    assert task.notes == ("3 of 9 test rows also stand in train (left out of train)",)


def test_pairs_overlap_only_if_both_texts_do(load):
    header, columns = ("text", "other", "label"), {"text_pair": "other"}
    train = [(f"a {n}", f"b {n}", str(n % 2)) for n in range(10)]
    test = [("a 1", "b 1", "1"), ("a 1", "b 2", "0")]
    assert load(train, test, header=header, columns=columns, overlap="allow").overlap == 1


def test_train_rows_takes_so_many_before_the_split(load):
    task = load(train_rows=10, validation_fraction=0.2)
    assert (len(task.train), len(task.validation)) == (8, 2)
    assert texts(load(train_rows=10, seed=1).train) != texts(load(train_rows=10, seed=2).train)


def test_a_test_fraction_is_held_out_of_train(load):
    task = load(test=None, test_fraction=0.25)
    assert (len(task.test), len(task.train), len(task.validation)) == (5, 13, 2)
    assert len(set(texts(task.train + task.validation + task.test))) == 20
    assert task.notes == ("the test rows are 25% of the training file, drawn by the seed",)


def test_without_training_rows_the_labels_are_those_of_the_test_rows(load):
    task = load(train=None)
    assert (task.labels, len(task.train), len(task.test)) == (("bad", "good"), 0, 6)


def test_another_test_file_changes_the_test_key_alone(load):
    one, other = load(), load(test=[("another", "good"), ("one more", "bad")])
    assert one.train_key == other.train_key
    assert one.test_key != other.test_key


@pytest.mark.parametrize(
    "change",
    [
        {"train": [*TRAIN, ("more", "good")]},
        {"train": [("train 0", "bad"), *TRAIN[1:]]},
        {"validation": TRAIN[:2]},
        {"train_rows": 12},
        {"seed": 1},
        {"max_length": 64},
        {"metric": "f1_macro"},
        {"labels": ["good", "bad"]},
        {"train": [(text, f"b{label}") for text, label in TRAIN], "test": None},
    ],
)
def test_the_train_key_changes_with_all_that_a_stage_sees(load, change):
    assert load(**change).train_key != load().train_key


@pytest.fixture(scope="module")
def tokenizer(make_model):
    from compress.models.tokenizer import load_tokenizer

    return load_tokenizer(Path(make_model("bert")))


def test_encoding_cuts_to_the_tasks_length_and_keeps_the_labels(load, tokenizer):
    rows = [("the film was good", "good"), (" ".join(["good"] * 50), "good"), ("bad", "bad")]
    task = load(rows, rows, overlap="allow", max_length=8)
    encoded = task.encode(task.test, tokenizer)
    assert [len(row["input_ids"]) for row in encoded] == [6, 8, 3]
    assert [row["labels"] for row in encoded] == [1, 1, 0]
    assert encoded[0]["attention_mask"] == [1] * 6
    assert [len(row["input_ids"]) for row in task.encode(task.test, tokenizer, 4)] == [4, 4, 3]
    assert task.encode([], tokenizer) == []
    batch, padded = task.collate(encoded, tokenizer), tokenizer.pad(encoded)
    assert set(batch) == {*padded, "labels"}, "all of it counts in a loss"
    assert all((batch[name] == padded[name]).all() for name in padded)
    assert (batch["labels"].tolist(), batch["labels"].dtype.name) == ([1, 1, 0], "int64")


def test_encoding_a_pair_marks_the_second_text(load, tokenizer):
    rows = [("good film", "bad", str(n)) for n in range(2)]
    task = load(rows, None, header=("text", "other", "label"), columns={"text_pair": "other"})
    (encoded,) = task.encode(task.train, tokenizer)
    assert encoded["token_type_ids"] == [0, 0, 0, 0, 1, 1]


def test_a_model_with_the_datas_labels_is_taken(load):
    assert load().check_labels({1: "good", 0: "bad"}, "model", "recipe.yaml:9") is None


@pytest.mark.parametrize(
    ("theirs", "what"),
    [
        (
            {0: "good", 1: "bad"},
            "has the data's labels in another order: 'good', 'bad', where the data has 'bad', 'good'",
        ),
        ({0: "LABEL_0", 1: "LABEL_1"}, "knows the labels 'LABEL_0', 'LABEL_1', the data has 'bad', 'good'"),
        ({0: "bad"}, "knows the labels 'bad', the data has 'bad', 'good'"),
    ],
)
def test_a_model_with_other_labels_is_refused(load, theirs, what):
    with pytest.raises(InputError, match=f"the model 'm' .*{what}") as c:
        load().check_labels(theirs, "m", "recipe.yaml:9")
    assert c.value.where == "recipe.yaml:9"
    assert "fine-tune it on this data first" in c.value.fix


def test_test_rows_in_a_validation_file_count_as_leaked(load, refused):
    validation = [TEST[0], ("of its own", "good")]
    assert refused(TRAIN, TEST, validation).what.startswith("1 of 6 test rows also stand in train")
    task = load(TRAIN, TEST, validation, overlap="drop")
    assert (task.overlap, texts(task.validation), len(task.train)) == (1, ["of its own"], 20)


MORE = [("more one",), ("more two",), ("more three",)]


def test_unlabelled_rows_are_read_without_a_label(load):
    task = load(more=MORE)
    assert task.unlabelled == [Row(text, None, UNKNOWN) for (text,) in MORE]
    assert task.unlabelled == task.without_answers([text for (text,) in MORE], None)
    assert texts(task.train) == texts(load().train)
    assert load().unlabelled == []


def test_unlabelled_pairs_take_both_columns(load):
    train = [(f"a {n}", f"b {n}", str(n % 2)) for n in range(10)]
    more = {"more": [("c", "d")], "more_header": ("text", "other")}
    task = load(train, None, header=("text", "other", "label"), columns={"text_pair": "other"}, **more)
    assert task.unlabelled == [Row("c", "d", UNKNOWN)]


def test_an_unlabelled_file_without_the_text_column_is_refused_with_its_columns(refused):
    error = refused(
        more=[("x", "y")], more_header=("body", "date"), header=("review", "label"), columns={"text": "review"}
    )
    assert error.what == "unlabelled.csv has no column 'review', where the texts of train stand"
    assert (error.where, error.fix) == ("recipe.yaml:9", "rename one of its columns to 'review': body, date")


def test_unlabelled_rows_change_the_transfer_key_alone(load):
    without, one, other = load(), load(more=MORE), load(more=MORE[:2])
    assert without.transfer_key == without.train_key
    assert without.train_key == one.train_key == other.train_key
    assert len({without.transfer_key, one.transfer_key, other.transfer_key}) == 3
    assert without.test_key == one.test_key


def test_test_rows_among_the_unlabelled_are_refused_dropped_or_allowed(load, refused):
    leaked = [*MORE, (" test 1",), ("test 2",)]
    error = refused(more=leaked)
    assert error.what.startswith("2 of 6 test rows also stand in the unlabelled rows")
    assert error.where == "recipe.yaml:6"
    dropped, allowed = load(more=leaked, overlap="drop"), load(more=leaked, overlap="allow")
    assert (dropped.overlap, texts(dropped.unlabelled)) == (2, [text for (text,) in MORE])
    assert dropped.notes == ("2 of 6 test rows also stand in train or in the unlabelled rows (left out there)",)
    assert (allowed.overlap, len(allowed.unlabelled)) == (2, 5)
    assert load(test=LEAKED, more=[("train 3",), *MORE], overlap="drop").overlap == 3  # each test row counts once


def test_unlabelled_rows_that_stand_elsewhere_are_left_out_and_reported(load):
    task = load(more=[("train 7",), *MORE, ("more one ",)])
    assert texts(task.unlabelled) == [text for (text,) in MORE]
    assert task.notes == ("2 unlabelled rows that stand elsewhere already were left out",)
    # the rows that train_rows leaves aside are new
    assert len(load(more=[(text,) for text, _ in TRAIN], train_rows=8).unlabelled) == 12


def test_unlabelled_rows_without_a_text_are_refused_or_dropped(load, refused):
    assert refused(more=[*MORE, (" ",)]).what == "1 of 4 rows of unlabelled.csv lack a text"
    assert len(load(more=[*MORE, (" ",)], incomplete="drop").unlabelled) == 3
    assert refused(more=[(" ",)], incomplete="drop").what == "no row of unlabelled.csv has a text"


@pytest.mark.parametrize("given", [{}, {"test": None, "test_fraction": 0.25}])
def test_rows_that_are_selected_on_are_training_rows_and_no_test_rows(load, given):
    whole = load(**given)
    rest = set(texts(whole.train + whole.validation))
    parts = [load(**given, selecting={"part": part, "parts": 3}) for part in range(3)]
    selected = [set(texts(part.test)) for part in parts]
    assert all(selected)
    assert set.union(*selected) <= rest
    assert sum(map(len, selected)) == len(set.union(*selected)) >= len(rest) - 2  # one row of each label stays
    for part, rows in zip(parts, selected, strict=True):
        assert set(texts(part.train + part.validation)) == rest - rows
    assert len({part.train_key for part in parts}) == len({part.test_key for part in parts}) == 3


def test_a_selected_row_that_also_stands_in_train_is_left_out_there(load):
    task = load([*TRAIN, ("train 3", "bad")] * 2, overlap="allow", selecting={"parts": 2})
    assert not set(texts(task.test)) & set(texts(task.train + task.validation))


def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no part 3 of 3"):
        TaskSpec(selecting={"part": 3, "parts": 3})
