"""What is so of answers of every kind, and what each kind is scored by."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score, r2_score

from compress import answers
from compress.answers import Answers
from compress.answers.label import Label
from compress.answers.labels import Labels
from compress.answers.number import Number
from compress.answers.text import Text
from compress.answers.token_probabilities import TokenProbabilities
from compress.answers.vector import Vector
from compress.errors import InputError

LABELS = ("bad", "fine", "good")
TAGS = ("O", "B-PER", "I-PER", "B-LOC")


def token(*pairs: tuple[int, float]) -> dict[str, Any]:
    return {"tokens": [number for number, _ in pairs], "log_likelihoods": [log for _, log in pairs]}


SAMPLES: dict[str, tuple[tuple[str, ...], list[Any], list[Any]]] = {
    "label": (LABELS, [0, 1, 2, 2], [0, 1, 2, 1]),
    "labels": (LABELS, [[0, 2], [], [1], [2]], [[2, 0], [], [1, 0], [1]]),
    "number": ((), [1.0, 2.0, 3.5, 0.0], [1.01, 2.0, 3.0, 0.5]),
    "token_labels": (TAGS, [[1, 2, 0], [0], [3], [0, 3]], [[1, 2, 0], [0], [1], [3, 3]]),
    "text": ((), ["a fine film", "", "so", "yes"], ["a fine film", "", "so so", "no"]),
    "vector": ((), [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [3.0, 4.0]], [[2.0, 0.0], [0.0, 1.0], [0.5, 1.0], [4.0, 3.0]]),
    "token_probabilities": (
        (),
        [token((1, 0.0), (2, 0.0)), token((3, 0.0)), token(), token((4, 0.0))],
        [token((1, -0.1), (5, -2.0)), token((3, -0.2)), token(), token((6, -3.0))],
    ),
}
"""By kind: labels, the truth, and what a model says: the first two rows right, the last one wrong."""


def pair(kind: str) -> tuple[Answers, Answers]:
    labels, truth, said = SAMPLES[kind]
    found = answers.find(kind)(truth, labels)
    return found, found.with_content(said)


def test_every_kind_has_its_file_and_is_tested_here() -> None:
    assert answers.names() == sorted(SAMPLES)
    assert [answers.name_of(answers.find(kind)) for kind in answers.names()] == answers.names()
    with pytest.raises(InputError, match=r"unknown kind of answers 'lable'[\s\S]*did you mean 'label'"):
        answers.find("lable")


@pytest.mark.parametrize("kind", SAMPLES)
def test_answers_are_what_json_gives_back(kind: str) -> None:
    for side in pair(kind):
        content = json.loads(json.dumps(side.content))
        type(side).check(content)
        assert side.with_content(content) == side


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("content", [[None], ["one", 2], [[[]]], [{"a": 1}], [True], [-1.5, "x"]])
def test_what_is_no_answer_is_refused(kind: str, content: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"[a-z] "):
        answers.find(kind).check(content)


@pytest.mark.parametrize("content", [[-1], [1.0], ["0"]])
def test_a_label_is_a_whole_number_from_0_on(content: list[Any]) -> None:
    with pytest.raises(ValueError, match="whole numbers from 0 on"):
        Label.check(content)


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_truth_has_the_best_score_and_agrees_with_itself(kind: str) -> None:
    truth, said = pair(kind)
    assert truth.agreement(truth) == pytest.approx(1)
    assert 0 <= said.agreement(truth) < 1
    for metric in type(truth).METRICS:
        best, own = truth.outcome(truth, metric), said.outcome(truth, metric)
        assert best.value == pytest.approx(1)
        assert own.value < 1
        assert best.drop(own).value == pytest.approx(1 - own.value)
        assert len(own.rows) == len(said) == 4
        assert own.rows[1] == pytest.approx(
            1 if kind != "token_probabilities" or metric != "likelihood" else np.exp(-0.2)
        )
        assert own.rows[3] < best.rows[3]
        found = own.score()
        assert found.low is not None
        assert found.low <= found.value <= (found.high or 0)


@pytest.mark.parametrize("kind", SAMPLES)
def test_rows_can_be_taken_alone(kind: str) -> None:
    truth, said = pair(kind)
    said = said.with_content(said.content, [0.9, 0.8, 0.7, 0.6])
    some = said.take([3, 0])
    assert (some.content, some.confidences) == ([said.content[3], said.content[0]], [0.6, 0.9])
    metric = answers.default_metric(type(truth))
    if kind != "number":  # whose score is about the spread of all rows
        assert (
            some.outcome(truth.take([3, 0]), metric).rows.tolist() == said.outcome(truth, metric).rows[[3, 0]].tolist()
        )


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_flip_is_told_in_words(kind: str) -> None:
    truth, said = pair(kind)
    told = said.flip_texts(truth, truth, 3, "the text")
    assert told.truth == told.before
    if kind != "vector":  # of which the change of direction is told
        assert told.after != told.before
    assert all(isinstance(text, str) and text for text in told)


def test_metrics_of_one_name_are_the_same() -> None:
    by_name: dict[str, Any] = {}
    for kind in answers.names():
        for name, metric in answers.find(kind).METRICS.items():
            assert by_name.setdefault(name, metric) == metric
    assert answers.metrics() == by_name
    assert answers.metric("f1_macro").title == "macro F1"
    assert answers.metric("unheard_of").title == "unheard_of"


def test_labels_are_scored_as_sklearn_does() -> None:
    random = np.random.default_rng(1)
    truth, said = random.integers(0, 3, (2, 80))
    said = np.where(random.random(80) < 0.5, truth, said)
    right, own = Label(truth.tolist(), LABELS), Label(said.tolist(), LABELS)
    assert own.outcome(right, "accuracy").value == pytest.approx((truth == said).mean())
    assert own.outcome(right, "f1_macro").value == pytest.approx(f1_score(truth, said, average="macro"))
    assert own.beyond_chance(right) == pytest.approx(cohen_kappa_score(truth, said))
    slices = own.slices(right)
    assert [part.f1 for part in slices] == pytest.approx(f1_score(truth, said, average=None).tolist())
    assert [(part.name, part.size) for part in slices] == [
        (name, int((truth == index).sum())) for index, name in enumerate(LABELS)
    ]


def test_several_labels_are_scored_as_sklearn_does() -> None:
    truth, said = np.random.default_rng(2).random((2, 60, 4)) < 0.4
    right, own = (
        Labels([np.flatnonzero(row).tolist() for row in side], ("a", "b", "c", "d")) for side in (truth, said)
    )
    assert own.outcome(right, "f1_micro").value == pytest.approx(f1_score(truth, said, average="micro"))
    assert own.outcome(right, "all_labels").value == pytest.approx((truth == said).all(axis=1).mean())
    assert [part.outcome.value for part in own.slices(right)] == pytest.approx(
        f1_score(truth, said, average=None).tolist()
    )
    assert Labels([[1, 0], []], LABELS).display(0) == "bad, fine"
    assert Labels([[1, 0], []], LABELS).same(Labels([[1, 2], []], LABELS)) == [pytest.approx(1 / 3), 1.0]


def test_numbers_are_scored_by_the_variance_that_they_explain() -> None:
    truth, noise = np.random.default_rng(3).normal(size=(2, 50))
    right, own = Number(truth.tolist()), Number((truth + 0.3 * noise).tolist())
    assert own.outcome(right, "r2").value == pytest.approx(r2_score(truth, truth + 0.3 * noise))
    assert Number([0.0, 10.0, 5.0]).same(Number([0.4, 9.0, 5.5])) == [1.0, 0.0, 1.0]


def test_texts_are_scored_by_their_edits() -> None:
    right, own = Text(["kitten", "same", "", "abc"]), Text(["sitting", "same", "", ""])
    assert own.outcome(right, "edit_score").rows == pytest.approx([1 - 3 / 7, 1, 1, 0])
    assert own.outcome(right, "exact_match").value == 0.5
    assert Text(["x" * 500]).display(0) == "x" * 400 + "…"


def test_vectors_are_scored_by_their_cosine() -> None:
    right, own = Vector([[1.0, 0.0], [1.0, 1.0]]), Vector([[3.0, 4.0], [0.0, 0.0]])
    assert own.outcome(right, "cosine").rows == pytest.approx([0.6, 0])
    assert own.flip_texts(right, right, 0, "") == ("cosine 1.0000", "cosine 1.0000", "cosine 0.6000")


def test_expected_tokens_are_scored_by_their_likelihood() -> None:
    right, own = pair("token_probabilities")
    assert own.outcome(right, "likelihood").rows == pytest.approx([np.exp(-1.05), np.exp(-0.2), 1, np.exp(-3)])
    assert own.outcome(right, "next_token_accuracy").value == 2 / 4
    assert isinstance(own, TokenProbabilities)
    assert own.display(0) == f"perplexity {np.exp(1.05):.4g}"
