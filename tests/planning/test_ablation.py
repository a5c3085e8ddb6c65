"""The plans of a chain without each of its steps."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compress.planning import outside, planner
from compress.planning.ablation import ablate
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from tests.plans import CHAIN


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What planning reads from outside: rows and models."""
    told: list[str] = []
    for module, name in ((planner, "load_task"), (planner, "outside_artifact"), (outside, "check_tokenizer")):
        real = getattr(module, name)

        def call(*args: object, _real: Callable[..., object] = real, _name: str = name, **more: object) -> object:
            told.append(_name)
            return _real(*args, **more)

        monkeypatch.setattr(module, name, call)
    return iter([told])


def test_plans_without_a_step_read_nothing_again(plan: Callable[..., Plan], read: Iterator[list[str]]) -> None:
    whole = plan(*CHAIN)
    told = next(read)
    assert sorted(told) == ["check_tokenizer", "load_task", "outside_artifact"]
    ablated = ablate(whole)
    assert len(told) == 3
    assert [item.step for item in ablated] == ["teacher", "student", "pruned", "onnx", "int8"]
    assert all(item.plan is None or item.plan.task is whole.task for item in ablated)


def test_a_plan_beside_another_is_the_plan_that_would_be_made_alone(plan: Callable[..., Plan]) -> None:
    whole = plan(*CHAIN)
    for item in ablate(whole):
        if item.plan is not None:
            alone = make_plan(item.plan.recipe, item.plan.origin)
            assert item.plan.steps == alone.steps
            assert (item.plan.subjects, item.plan.sources) == (alone.subjects, alone.sources)


@pytest.mark.parametrize("changes", [{"seed": 7}, {"task": {"train": "other.csv"}}])
def test_a_plan_beside_another_has_its_data(plan: Callable[..., Plan], changes: dict[str, Any]) -> None:
    whole = plan(*CHAIN)
    other = Recipe.model_validate({**whole.recipe.model_dump(mode="json", exclude_unset=True), **changes})
    with pytest.raises(ValueError, match=f"a plan beside another has the same '{next(iter(changes))}'"):
        make_plan(other, whole.origin, beside=whole)


def test_what_the_chain_cannot_do_without_says_why(plan: Callable[..., Plan], labelled: Path) -> None:
    reasons = {item.step: item.reason for item in ablate(plan(*CHAIN)) if item.plan is None}
    assert reasons == {
        "teacher": "it is the baseline",
        "onnx": "step 'int8' reads format 'onnx', but 'pruned' gives 'torch'",
    }
    (only,) = ablate(plan(f"{{name: student, stage: distill, layers: 1, teacher: {labelled}}}"))
    assert only.reason == "it is the only step"
