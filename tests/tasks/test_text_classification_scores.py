"""From logits to classes, confidences and scores, against scipy and sklearn."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score

from compress.answers.label import Label
from compress.recipe.schema import TaskSpec
from compress.tasks.text_classification import Row, TextClassification


def task_of(count=2, metric="accuracy"):
    return TextClassification(TaskSpec(metric=metric), tuple(map(str, range(count))), [], [], [], [], 0, (), "", "", "")


def scored(metric, logits, labels, count):
    task = task_of(count, metric)
    truth = task.truth([Row("", None, label) for label in labels])
    return task.answers(np.asarray(logits, dtype=float), []).outcome(truth, metric).value


@pytest.mark.parametrize("seed", range(5))
def test_the_scores_are_those_of_sklearn(seed):
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(4), random.integers(0, 4, 60)])
    logits = random.normal(size=(64, 4)) + 1.5 * np.eye(4)[labels]
    predicted = logits.argmax(axis=1)
    assert scored("accuracy", logits, labels, 4) == pytest.approx(accuracy_score(labels, predicted))
    macro = f1_score(labels, predicted, average="macro")
    assert scored("f1_macro", logits, labels, 4) == pytest.approx(macro)


def test_a_class_without_test_rows_does_not_count_for_f1():
    # class 0: precision 1, recall 1/2, f1 2/3; class 1: f1 1; class 2 has no rows, one false alarm
    logits = np.eye(3)[[0, 2, 1]]
    assert scored("f1_macro", logits, [0, 0, 1], 3) == pytest.approx((2 / 3 + 1) / 2)


def test_a_score_is_of_answers_against_the_truth():
    truth = task_of().truth([Row("", None, label) for label in (0, 0, 1, 1)])
    predictions = truth.with_content([0, 0, 0, 1])
    assert predictions.outcome(truth).value == predictions.outcome(truth, "accuracy").value == 0.75
    assert predictions.outcome(truth, "f1_macro").value == pytest.approx((4 / 5 + 2 / 3) / 2)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("spread", [0.1, 3, 300])
def test_confidences_are_those_of_the_softmax(kind, spread):
    logits = (spread * np.random.default_rng(5).normal(size=(50, 7))).astype(kind)
    answers = task_of(7).answers(logits, [])
    predictions, confidences = answers.content, answers.confidences
    expected = softmax(logits.astype(np.float64), axis=1)
    assert predictions == expected.argmax(axis=1).tolist()
    assert confidences == pytest.approx(expected.max(axis=1).tolist(), abs=5.1e-7)
    assert all(round(confidence, 6) == confidence for confidence in confidences)


def test_worked_confidences():
    logits = np.log([[1, 3], [1, 1], [9, 1]])
    names = task_of().labels
    assert task_of().answers(logits, []) == Label([1, 0, 0], names, [0.75, 0.5, 0.9])
    huge = np.array([[1e30, -1e30], [-1e4, 1e4]], np.float32)
    assert task_of().answers(huge, []) == Label([0, 1], names, [1.0, 1.0])


def test_texts_and_truth_are_those_of_the_rows():
    rows = [Row("one", None, 1), Row("two ", None, 0)]
    assert task_of().texts(rows) == (["one", "two "], None)
    assert task_of().truth(rows) == Label([1, 0], task_of().labels)
    assert (task_of().texts([]), len(task_of().truth([]))) == (([], None), 0)


def test_the_texts_of_pairs_come_side_by_side():
    rows = [Row("one", "uno", 1), Row("two", "", 0)]
    assert task_of().texts(rows) == (["one", "two"], ["uno", ""])
