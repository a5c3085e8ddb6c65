"""Scores against sklearn's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from compress.answers.label import Label
from compress.ops.scores import accuracy, f1_macro
from compress.planning.json_schema import recipe_schema

Array = np.ndarray[Any, Any]
ROWS = st.integers(1, 6).flatmap(
    lambda classes: st.lists(
        st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=40
    )
)


@settings(derandomize=True, deadline=None)
@given(ROWS)
def test_the_scores_are_those_of_sklearn(rows: list[tuple[int, int]]) -> None:
    predictions, truth = np.array(rows).T
    expected = f1_score(truth, predictions, average="macro", labels=np.unique(truth), zero_division=0)
    assert f1_macro(predictions, truth) == pytest.approx(expected, abs=1e-12)
    assert accuracy(predictions, truth) == pytest.approx(accuracy_score(truth, predictions), abs=1e-12)


@pytest.mark.parametrize(
    ("predictions", "truth", "expected"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),
        ([1, 1, 0, 0], [0, 0, 1, 1], 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 1], 3 / 7),  # class 0: 2 x 3 / (3 + 4); class 1 is never said
        ([0, 2, 0, 7], [0, 0, 0, 0], 2 / 3),  # one class: 2 x 2 / (4 + 2); 2 and 7 are in no row
        ([5, 5], [5, 0], 1 / 3),  # class 5: 2 x 1 / (1 + 2); class 0: nothing
    ],
)
def test_f1_macro_of_worked_examples(predictions: list[int], truth: list[int], expected: float) -> None:
    assert f1_macro(np.array(predictions), np.array(truth)) == pytest.approx(expected, abs=1e-12)


def test_every_metric_of_a_recipe_has_its_score() -> None:
    names = recipe_schema()["$defs"]["TaskSpec"]["properties"]["metric"]["enum"]
    perfect = Label([0, 1, 2], ("a", "b", "c"))
    assert {name: perfect.outcome(perfect, name).value for name in names} == {"accuracy": 1.0, "f1_macro": 1.0}
