"""Which baselines a recipe has, and the commonest label."""

from types import SimpleNamespace

import pytest

from compress.answers.label import Label
from compress.answers.token_labels import TokenLabels
from compress.baselines import REGISTRY, chosen, find
from compress.errors import InputError
from compress.fitting.rows import Rows

ALL = ("commonest_label", "linear_characters", "linear_words")


def task_of(kind, train=("a row",)):
    return SimpleNamespace(truth=lambda rows: kind(list(rows), ()), train=train)


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (None, ALL),
        ("none", ()),
        ((), ()),
        (("linear_words",), ("linear_words",)),
        (("linear_words", "commonest_label", "linear_words"), ("linear_words", "commonest_label")),
    ],
)
def test_a_recipe_names_its_baselines(said, names):
    assert chosen(said, task_of(Label), "recipe.yaml:3") == names
    assert tuple(REGISTRY.names()) == ALL


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (task_of(TokenLabels), "the answers of this task are of the kind 'token_labels'"),
        (task_of(Label, train=()), "the answers of this task are known for no training rows"),
    ],
)
def test_other_tasks_have_none_and_asking_for_some_is_an_error(task, reason):
    assert chosen(None, task, "recipe.yaml:3") == chosen("none", task, "recipe.yaml:3") == ()
    with pytest.raises(InputError) as refused:
        chosen(("linear_words",), task, "recipe.yaml:3")
    assert refused.value.what == f"simple baselines learn labels, and {reason}"
    assert (refused.value.where, refused.value.exit_code) == ("recipe.yaml:3", 2)


@pytest.mark.parametrize(("labels", "commonest"), [([2, 0, 2], 2), ([1, 0, 0, 1], 0), ([3], 3)])
def test_the_commonest_label_is_the_first_of_those_with_most_rows(labels, commonest, tmp_path):
    baseline = find("commonest_label")
    assert baseline.refuse(labels, 4) is None
    facts = baseline.fit(Rows([("",)] * len(labels), labels, 4, lambda *_: 0.0), 0, tmp_path, lambda *_: None)
    assert facts == {"share": labels.count(commonest) / len(labels)}
    assert baseline.load(tmp_path).label(("whatever",)) == commonest


@pytest.mark.parametrize("name", ALL)
def test_each_learns_from_its_rows_and_says_what_it_is(name, tmp_path):
    rows = Rows([("good film",), ("bad film",)] * 6, [1, 0] * 6, 2, lambda one, two: float(one == two))
    baseline = find(name)
    baseline.fit(rows, 0, tmp_path, lambda *_: None)
    fitted = baseline.load(tmp_path)
    assert [fitted.label(texts) for texts in rows.texts[:2]] == ([0, 0] if name == ALL[0] else [1, 0])
    assert fitted.parameters >= 1
    assert baseline.title.partition(" ")[0] in {"a", "the"}
    assert (baseline.refuse([0], 2) is None) == (name == ALL[0])
