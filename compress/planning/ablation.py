"""The chain without one of its steps: what a step is worth shows when it is left out."""

from dataclasses import dataclass
from typing import Any

from compress import stages
from compress.errors import InputError
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin


@dataclass(frozen=True)
class Ablated:
    """A plan without one step.

    Attributes:
        step: the name of the step that is left out.
        plan: the chain without that step; None if the chain cannot do without it.
        reason: why it cannot.
    """

    step: str
    plan: Plan | None
    reason: str | None = None


def ablate(plan: Plan) -> list[Ablated]:
    """For each step of a plan, the plan without it; nothing is made yet."""
    recipe = plan.recipe
    ablations = []
    for index, step in enumerate(recipe.steps):
        if step.name == plan.baseline:
            ablations.append(Ablated(step.name, None, "it is the baseline"))
            continue
        if len(recipe.steps) == 1:
            ablations.append(Ablated(step.name, None, "it is the only step"))
            continue
        try:
            origin = Origin(plan.origin.path, folder=plan.origin.folder)
            ablations.append(Ablated(step.name, make_plan(without(recipe, index), origin, beside=plan)))
        except InputError as error:
            ablations.append(Ablated(step.name, None, error.what))
    return ablations


def without(recipe: Recipe, index: int) -> Recipe:
    """The recipe without a step; the steps that read its model read the model before it."""
    left_out = recipe.steps[index]
    replacement = left_out.settings.get(stages.find(left_out.stage).base_role) or (
        recipe.steps[index - 1].name if index else None
    )
    data = recipe.model_dump(mode="json", exclude_unset=True)
    steps: list[dict[str, Any]] = data["steps"]
    del steps[index]
    for position, step in enumerate(steps):
        stage = stages.find(step["stage"])
        for role in stage.inputs:
            if step.get(role) == left_out.name:
                step[role] = replacement
            elif isinstance(step.get(role), list):
                step[role] = [name for name in step[role] if name != left_out.name] or replacement
        if position == index and stage.base_role not in step:
            step[stage.base_role] = replacement
    return Recipe.model_validate(data)
