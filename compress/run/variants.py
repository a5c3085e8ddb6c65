"""Many plans of one task over one store: what they share is made once, and what they give is measured in one place.

A plan beside another (`make_plan(..., beside=plan)`) reads no data again; here its steps take the artifacts that plans
before it were made of, and only what is its own is made. What its last step gives is measured together with the
artifacts that it is compared with (`measure_plan(..., beside=...)`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.plan.plan import Plan, artifact_of
from compress.run.journal import Observer
from compress.run.make import make_steps
from compress.run.measure import Pair
from compress.store.artifacts import Artifact
from compress.store.store import Store


@dataclass(frozen=True)
class Variant:
    """A plan beside another.

    Attributes:
        name: what stands behind its steps' names where they are told of: `pruned without student`.
    """

    name: str
    plan: Plan


@dataclass(frozen=True)
class MadeVariant:
    """A variant whose steps are made.

    Attributes:
        artifacts: by the name of the planned step.
    """

    variant: Variant
    artifacts: Mapping[str, Artifact]

    def finals(self) -> dict[str, Pair]:
        """What stands for its last step on each target, by the target's name."""
        return finals(self.variant.plan, self.artifacts)


def finals(plan: Plan, artifacts: Mapping[str, Artifact]) -> dict[str, Pair]:
    """What stands for the last step of a plan that is made on each target, by the target's name."""
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
    """Make plans beside one that is made, one after the other, and say whether anything was made.

    Args:
        first: the plan that is made.
        artifacts: of its steps, by their names.

    Raises:
        ValueError: a variant is of other data, or is measured on other targets.
        CompressError: a step failed; the steps before it are kept.
        Stopped: the person has asked to stop.
    """
    known = {step.identity.key: artifacts[step.name] for step in first.steps}
    made: list[MadeVariant] = []
    made_any = False
    for variant in variants:
        plan = variant.plan
        if (plan.task.test_key, plan.recipe.targets) != (first.task.test_key, first.recipe.targets):
            raise ValueError(f"the variant '{variant.name}' is measured on other rows or targets")
        shared = {step.name: known[step.identity.key] for step in plan.steps if step.identity.key in known}
        own, is_new = make_steps(plan, store, host, _Named(observer, variant.name), done=shared)
        known |= {step.identity.key: own[step.name] for step in plan.steps}
        made.append(MadeVariant(variant, own))
        made_any |= is_new
    return made, made_any


class _Named:
    """Tells an observer of a variant's steps under names that say whose they are, and only of those that are made."""

    def __init__(self, observer: Observer, name: str) -> None:
        self.progress, self.warned, self.stopping = observer.progress, observer.warned, observer.stopping
        self._observer, self._name = observer, name

    def step_started(self, step: str, stage: str) -> None:
        self._observer.step_started(f"{step} {self._name}", stage)

    def step_done(self, step: str, stage: str, seconds: float, made: bool) -> None:
        if made:
            self._observer.step_done(f"{step} {self._name}", stage, seconds, made)
