"""Labels as people write them: which are one class, which are none, and what is told of them."""

import csv
import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compress.data.labels import same_class
from compress.data.sources import Sources
from compress.errors import InputError
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import load_task


def _csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def _jsonl(path, rows):
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))


def _parquet(path, rows):
    texts, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"text": texts, "label": labels}), path)


WRITERS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}


@pytest.fixture
def load(tmp_path):
    """A task with these labels in train and test, one row for each; a part's ending says how it is written."""

    def load_labels(train, test=None, *, train_as="csv", test_as="csv", labels=None, seed=0, **spec):
        for part, values, ending in (("train", train, train_as), ("test", test, test_as)):
            if values is not None:
                path = tmp_path / f"{part}.{ending}"
                WRITERS[ending](path, [(f"{part} {number}", value) for number, value in enumerate(values)])
                spec[part] = path.name
        return load_task(TaskSpec(**spec), Sources(tmp_path).table, seed, Origin(), labels)

    return load_labels


@pytest.fixture
def refused(load):
    def refuse(*labels, **spec):
        with pytest.raises(InputError) as caught:
            load(*labels, **spec)
        assert caught.value.fix
        return caught.value

    return refuse


@pytest.mark.parametrize(
    ("train", "train_as", "test", "test_as"),
    [
        (["0", "1"], "csv", [0, 1], "jsonl"),
        (["0", "1"], "csv", [0, 1], "parquet"),
        (["0", "1"], "csv", [0.0, 1.0], "parquet"),
        (["0.0", "1.0"], "csv", [0, 1], "parquet"),
        ([0.0, 1.0], "parquet", ["0", "1"], "csv"),
        ([0, 1], "jsonl", ["0", "1"], "jsonl"),
        (["-1", "1"], "csv", [-1.0, 1.0], "jsonl"),
        (["False", "True"], "csv", [False, True], "parquet"),
        (["FALSE", "TRUE"], "csv", [False, True], "jsonl"),
        ([False, True], "jsonl", ["False", "True"], "csv"),
        (["café", "thé"], "csv", ["cafe\u0301", "the\u0301"], "csv"),
        (["a b", "c"], "csv", ["a\u00a0b", "c\u200b"], "csv"),
        (["no", "yes"], "csv", [" no\t", "\u200byes\ufeff"], "csv"),
    ],
)
def test_labels_that_formats_write_in_their_own_way_are_the_same_classes(load, train, train_as, test, test_as):
    task = load(train * 3, test, train_as=train_as, test_as=test_as)
    assert [row.label for row in task.test] == [0, 1]
    assert task.labels == load(train * 3, None, train_as=train_as).labels, "what train says does not depend on test"
    assert task.train_key == load(train * 3, None, train_as=train_as).train_key


def test_labels_in_another_spelling_are_told(load):
    assert load(["0", "1"] * 3, [0.0, 1.0], test_as="parquet").notes == (
        "labels in another spelling were taken for the class that they name: '0.0' as '0', '1.0' as '1'",
    )
    assert load(["0", "1"] * 3, [0, 1], test_as="parquet").notes == ()


def test_a_models_labels_are_found_in_another_spelling(load):
    task = load(None, ["0.0", "1.0", "1"], labels=["1", "0"])
    assert (task.labels, [row.label for row in task.test]) == (("1", "0"), [1, 0, 0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("01", "1"), ("1e3", "1000"), ("1.5", "1.50"), ("+1", "1"), ("yes", "Yes"), ("1", "true"), ("1", "l")),
        *(("a  b", "a b"), ("½", "1/2"), ("null", "None"), ("0", "-1"), ("٣", "3")),
        *(("👨\u200d👩", "👨👩"), ("2.10", "2.1"), ("1.0.0", "1"), ("", "x"), ("ﬁ", "fi")),
    ],
)
def test_labels_that_may_differ_stay_apart(one, other):
    assert same_class(one) != same_class(other)


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        (["1", "1.0", "2"], "'1' and '1.0'"),
        (["true", "True", "false"], "'True' and 'true'"),
        (["é", "e\u0301", "b"], "'e\\u0301' and '\\xe9'"),
        (["new york", "new\u00a0york", "b"], "'new york' and 'new\\xa0york'"),
        (["new\u200byork", "newyork", "b"], "'newyork' and 'new\\u200byork'"),
    ],
)
def test_two_spellings_of_a_class_in_train_are_refused(refused, labels, written):
    error = refused(labels)
    assert error.what == f"the labels {written} are one class in several spellings"
    assert "give what are two classes two names" in error.fix
    assert refused(None, labels, test_as="csv").what == error.what


def test_leading_zeros_make_classes_of_their_own_and_keep_their_order(load):
    assert load(["01", "1", "10", "02"] * 2).labels == ("01", "1", "02", "10")


def test_white_space_and_what_cannot_be_seen_around_a_label_is_not_part_of_it(load):
    task = load(["pos", "pos ", "neg", "\u200bneg", "\u2067neg\u2069"])
    assert task.labels == ("neg", "pos")
    assert task.notes == ("labels of train.csv with white space around them are those without it: 'neg', 'pos'",)


def test_labels_that_differ_in_case_are_classes_that_are_told(load, refused):
    task = load(["Pos", "pos", "neg"] * 2)
    assert task.labels == ("Pos", "neg", "pos")
    assert task.notes == ("the labels 'Pos' and 'pos' differ in case alone; they are taken for 2 classes",)
    error = refused(["pos", "neg"] * 2, ["Pos", "neg"])
    assert error.what == "1 of 2 test rows have unknown labels: 'Pos'"
    assert error.fix == "did you mean 'pos'? known labels: 'neg', 'pos'"


@pytest.mark.parametrize("label", ["NA", "null", "None", "nan", "N/A", "?"])
def test_a_label_that_may_mean_a_missing_one_is_a_class_and_told(load, label):
    task = load([label, "DE"] * 2)
    assert set(task.labels) == {label, "DE"}
    assert task.notes == (
        f"the label '{label}' is taken for a class, though it may mean that the label is missing; "
        "task.no_label says that it does",
    )


@pytest.mark.parametrize(
    ("missing", "ending"),
    [("", "csv"), (" \t", "csv"), ("\u200b\ufeff", "csv"), (None, "jsonl"), (float("nan"), "jsonl"), (None, "parquet")],
)
def test_a_missing_label_is_refused_or_dropped(load, refused, missing, ending):
    labels = ["1", "2", missing, "1", "2"]
    error = refused(labels, train_as=ending)
    assert error.what == f"1 of 5 rows of train.{ending} lack a text or a label"
    task = load(labels, train_as=ending, incomplete="drop")
    assert (task.labels, len(task.train) + len(task.validation)) == (("1", "2"), 4)
    assert "1 rows without a text or a label were left out" in task.notes


def test_numbers_that_are_floats_because_of_missing_ones_are_the_whole_numbers(load):
    task = load([1.0, 2.0, float("nan"), None] * 2, ["1", "2"], train_as="parquet", incomplete="drop")
    assert (task.labels, [row.label for row in task.test]) == (("1.0", "2.0"), [0, 1])
    assert len(task.train) + len(task.validation) == 4


@pytest.mark.parametrize(
    "label", ["on", "yes", "null", "~", "1", "#x", "a: b", "\u202eabc\u202c", "x" * 3000, "9" * 5000]
)
def test_any_label_is_a_class_under_its_own_name(load, label):
    expected = label.strip("\u202c\u202e")
    assert set(load([label, "other"] * 2).labels) == {expected, "other"}
    assert set(load([label, "1"] * 2 if label != "1" else ["1", "2"]).labels) > {expected}


def test_a_text_that_cannot_be_seen_is_missing(tmp_path):
    _csv(tmp_path / "train.csv", [("a", "0"), ("b", "1"), ("\u200b \u2060\ufeff", "0")])
    with pytest.raises(InputError, match=r"1 of 3 rows of train\.csv lack a text or a label"):
        load_task(TaskSpec(train="train.csv"), Sources(tmp_path).table, 0, Origin())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("held", [{"validation_fraction": 0.5}, {"test_fraction": 0.5}, {"validation_fraction": 0.2}])
def test_a_class_of_one_row_is_trained_on(load, seed, held):
    task = load(["a"] * 8 + ["b"] * 8 + ["once"], seed=seed, **held)
    assert "once" in {task.labels[row.label] for row in task.train}
    assert "the label 'once' has one training row" in task.notes
    assert len(task.train) + len(task.validation) + len(task.test) == 17


def test_two_rows_are_split(load):
    task = load(["a", "b"])
    assert (len(task.train), len(task.validation)) == (1, 1)
    assert any("no row among those that are trained on" in note for note in task.notes)


def test_classes_that_are_not_trained_on_or_not_tested_are_told(load):
    task = load(["a", "b", "c"] * 10, ["a", "b"], train_rows=8)
    assert task.notes == ("the label 'c' has no test row",)
    some = load([f"c{number // 2}" for number in range(60)], train_rows=8)
    assert some.notes[0] == "30 labels for 60 training rows: is the column of labels one of ids?"
    assert "no row among those that are trained on" in some.notes[1]
    assert len({row.label for row in some.train}) < 30


def test_the_same_text_with_two_labels_is_told(tmp_path):
    _csv(tmp_path / "train.csv", [("a", "0"), ("a ", "1"), ("b", "1"), ("b", "1"), ("c", "0")])
    task = load_task(TaskSpec(train="train.csv"), Sources(tmp_path).table, 0, Origin())
    assert task.notes == ("2 training rows have the same text as others with another label",)


def test_a_column_that_numbers_the_rows_is_no_label(load, refused):
    error = refused([f"id {number}" for number in range(100)])
    assert error.what.startswith("the column 'label' has 100 distinct values in 100 training rows: it seems to number")
    assert len(load([f"class {number // 2}" for number in range(100)]).labels) == 50
    assert len(load([f"class {number}" for number in range(20)]).labels) == 20


def test_thousands_of_classes_are_loaded_in_a_moment(load):
    labels = [f"class {number % 5000:04}" for number in range(20_000)]
    begin = time.perf_counter()
    task = load(labels, labels[:5000])
    assert (len(task.labels), len(task.test), task.test[4999].label) == (5000, 5000, 4999)
    assert time.perf_counter() - begin < 30


def test_the_same_file_for_train_and_test_is_refused(tmp_path):
    _csv(tmp_path / "all.csv", [("a", "0"), ("b", "1"), ("c", "0")])
    with pytest.raises(InputError, match="3 of 3 test rows also stand in train"):
        load_task(TaskSpec(train="all.csv", test="all.csv"), Sources(tmp_path).table, 0, Origin())


def test_test_rows_without_labels_are_refused(refused, tmp_path):
    assert refused(["a", "b"], ["", ""]).what == "no row of test.csv has both a text and a label"
    (tmp_path / "test.csv").write_text("text\na\nb\n")
    with pytest.raises(InputError, match=r"test\.csv has no column 'label'"):
        load_task(TaskSpec(train="train.csv", test="test.csv"), Sources(tmp_path).table, 0, Origin())


def test_a_missing_second_text_is_empty_and_told(tmp_path):
    lines = [{"a": "x", "b": "y", "label": 0}, {"a": "z", "b": None, "label": 1}, {"a": "w", "label": 1}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    spec = TaskSpec(train="train.jsonl", columns={"text": "a", "text_pair": "b"})
    task = load_task(spec, Sources(tmp_path).table, 0, Origin())
    assert sorted(row.text_pair for row in (*task.train, *task.validation)) == ["", "", "y"]
    assert task.notes[0] == "2 of 3 rows of train.jsonl have an empty second text"
