"""Variants: many plans of one task over one store. Shared steps are made once, and all results are measured together.

A plan beside another (`make_plan(..., beside=plan)`) reads no data again. It uses the artifacts of plans before it, and
only its own steps are made. The artifact of its last step is measured together with those that it is compared with
(`measure_plan(..., beside=...)`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.planning.plan import Plan, artifact_of
from compress.running.journal import Observer
from compress.running.make import make_steps
from compress.running.measure import Pair
from compress.store.artifacts import Artifact
from compress.store.store import Store


@dataclass(frozen=True)
class Variant:
    """A plan that is made beside another one.

    Attributes:
        name: the words that follow its steps' names in messages: `without student` in `pruned without student`.
    """

    name: str
    plan: Plan


@dataclass(frozen=True)
class MadeVariant:
    """A variant whose steps are made.

    Attributes:
        artifacts: the artifacts by the name of the planned step.
    """

    variant: Variant
    artifacts: Mapping[str, Artifact]

    def final_pairs(self) -> dict[str, Pair]:
        """The pairs that are measured for its last step, by the target's name."""
        return final_pairs(self.variant.plan, self.artifacts)


def final_pairs(plan: Plan, artifacts: Mapping[str, Artifact]) -> dict[str, Pair]:
    """The pairs that are measured for the last step of a plan whose steps are made, by the target's name."""
    last = plan.recipe.steps[-1].name
    return {
        subject.target: Pair(artifact_of(subject.measured, artifacts), subject.target)
        for subject in plan.subjects
        if subject.step == last
    }


def make_variants(
    variants: Sequence[Variant],
    first: Plan,
    artifacts: Mapping[str, Artifact],
    store: Store,
    host: Mapping[str, Any],
    observer: Observer,
) -> tuple[list[MadeVariant], bool]:
    """Make variants of a plan that is made; returns them, and whether anything had to be made.

    Args:
        first: the plan that is made.
        artifacts: the artifacts of its steps, by their names.

    Raises:
        ValueError: a variant is of other data, or is measured on other targets.
        CompressError: a step failed; the steps before it are kept.
        Stopped: the user has asked to stop.
    """
    artifacts_by_key = {step.identity.key: artifacts[step.name] for step in first.steps}
    made_variants: list[MadeVariant] = []
    made_any = False
    for variant in variants:
        plan = variant.plan
        if (plan.task.test_key, plan.recipe.targets) != (first.task.test_key, first.recipe.targets):
            raise ValueError(f"the variant '{variant.name}' is measured on other rows or targets")
        shared = {
            step.name: artifacts_by_key[step.identity.key]
            for step in plan.steps
            if step.identity.key in artifacts_by_key
        }
        own, is_new = make_steps(plan, store, host, _VariantObserver(observer, variant.name), done=shared)
        artifacts_by_key |= {step.identity.key: own[step.name] for step in plan.steps}
        made_variants.append(MadeVariant(variant, own))
        made_any |= is_new
    return made_variants, made_any


class _VariantObserver:
    """An observer of a variant: it reports only steps that are made, with the variant's name behind their own."""

    def __init__(self, observer: Observer, name: str) -> None:
        self.progress, self.warned, self.stopping = observer.progress, observer.warned, observer.stopping
        self._observer, self._name = observer, name

    def step_started(self, step: str, stage: str) -> None:
        self._observer.step_started(f"{step} {self._name}", stage)

    def step_done(self, step: str, stage: str, seconds: float, made: bool) -> None:
        if made:
            self._observer.step_done(f"{step} {self._name}", stage, seconds, made)
