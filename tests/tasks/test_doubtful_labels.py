"""What is told of labels before any training: slips of the pen, ids, quantities, rare and dominant classes."""

import csv

import pytest

from compress.data.labels import is_slip, labels_in_texts
from compress.data.sources import Sources
from compress.errors import InputError
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import load_task


@pytest.fixture
def notes(tmp_path):
    """The notes of a task whose training rows have these labels, one text each."""

    def load(labels, test=(), **spec):
        for part, values in (("train", labels), ("test", test)):
            if values:
                with (tmp_path / f"{part}.csv").open("w", newline="") as file:
                    rows = [(f"{part} {number}", value) for number, value in enumerate(values)]
                    csv.writer(file).writerows([("text", "label"), *rows])
                spec[part] = f"{part}.csv"
        return load_task(TaskSpec(**spec), Sources(tmp_path).table, 0, Origin()).notes

    return load


def test_a_rare_label_that_is_nearly_a_common_one_is_told(notes):
    told = notes(["positive"] * 30 + ["negative"] * 30 + ["postive", "postive"])
    assert told == (
        "the label 'postive' (2 rows) is nearly 'positive': a slip of the pen?",
        "the label 'postive' has fewer than 5 training rows",
    )


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("postive", "positive", True),
        ("Biling", "billing", True),
        ("shiping", "shipping", True),
        ("positive", "negative", False),
        ("class 1", "class 2", False),
        ("spam", "ham", False),
        ("no", "not", False),
    ],
)
def test_what_is_a_slip(one, other, expected):
    assert is_slip(one, other) is expected


def test_a_label_for_a_few_rows_each_is_told_to_be_an_id_perhaps(notes):
    told = notes([f"B00{number % 40}" for number in range(120)], train_rows=100)
    assert "40 labels for 120 training rows: is the column of labels one of ids?" in told


def test_many_numbers_with_fractions_are_told_to_be_a_quantity(notes):
    told = notes([f"{number % 30 / 10 + 0.05:.2f}" for number in range(180)])
    assert told == ("the labels are 30 numbers, such as 0.05: each is taken for a class of its own",)
    assert notes([f"{number % 11 / 2:.1f}" for number in range(66)]) == ()


@pytest.mark.parametrize(("many", "few", "is_told"), [(80, 20, True), (70, 30, True), (60, 40, False)])
def test_a_label_of_most_rows_is_told_with_the_score_that_weighs_all_alike(notes, many, few, is_told):
    told = notes(["a"] * many + ["b"] * few)
    share = f"{many}% of the training rows have the label 'a': accuracy says little of the others; "
    assert told == ((f"{share}task.metric: f1_macro weighs all alike",) if is_told else ())
    assert notes(["a"] * many + ["b"] * few, metric="f1_macro") == ()


def test_a_class_of_few_rows_and_one_without_a_test_row_are_told(notes):
    told = notes(["a"] * 20 + ["b"] * 20 + ["c"] * 3, ["a", "b"])
    assert told == ("the label 'c' has fewer than 5 training rows", "the label 'c' has no test row")


def test_texts_that_hold_their_own_label_are_told():
    rows = [
        (f"[{label.upper()}] please help me {number}", label) for number, label in enumerate(["money", "parcel"] * 10)
    ]
    assert labels_in_texts(rows) == ["20 of 20 training texts hold their own label: is the answer written into them?"]
    assert labels_in_texts([(text[9:], label) for text, label in rows]) == []
    assert labels_in_texts([("1 of 5 stars", "1"), ("2 of 5 stars", "2")]) == []


def test_values_that_mean_no_label_are_left_out_and_told(notes):
    labels = ["a", "b"] * 10 + ["-"] * 3 + ["?"]
    told = notes(labels, no_label=("-", "?"), incomplete="drop")
    assert told[0] == "taken for no label in train.csv: '-' (3 rows), '?' (1 rows)"
    assert told[1] == "4 rows without a text or a label were left out"
    with pytest.raises(InputError, match=r"4 of 24 rows of train\.csv lack a text or a label"):
        notes(labels, no_label=("-", "?"))
