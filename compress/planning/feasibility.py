"""The parts of a plan that this machine cannot do, found before any work.

A measurement that cannot be taken here is skipped, with its reason, and the run goes on with the others. Where a step
cannot be made here, or none of the targets can be measured on, the plan is refused.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from compress.errors import InputError
from compress.formats import unfit
from compress.machine.processor import cores_here
from compress.planning.plan import Plan, PlannedStep
from compress.recipe.schema import Recipe
from compress.runtimes import unavailable
from compress.store.artifacts import Artifact


@dataclass(frozen=True)
class Skip:
    """Measurements that cannot be taken here.

    Attributes:
        steps: the steps that are not measured; empty if none is measured on the target.
    """

    target: str
    reason: str
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        whose = f": {', '.join(self.steps)}" if self.steps else ""
        return f"target '{self.target}'{whose} will be skipped: {self.reason}"


@dataclass(frozen=True)
class Feasibility:
    """What a run on this machine leaves out, and what is unusual about its targets.

    Attributes:
        skipped: the measurements left out, grouped by target.
        cautions: sentences on what is unusual.
    """

    skipped: tuple[Skip, ...]
    cautions: tuple[str, ...]

    @property
    def targets(self) -> dict[str, str]:
        """The targets on which nothing is measured, with the reason for each."""
        return {skip.target: skip.reason for skip in self.skipped if not skip.steps}

    @property
    def warnings(self) -> list[str]:
        """The sentences that the user should know before the run begins."""
        return [*(str(skip) for skip in self.skipped if not skip.steps), *self.cautions]


def check_feasible(plan: Plan, done: Collection[str]) -> Feasibility:
    """Check that this machine can make a plan's steps and measure on its targets.

    Args:
        done: names of the steps that need no work.

    Raises:
        InputError: a step cannot be made here, or none of the targets can be measured on.
    """
    for step in plan.steps:
        if step.name not in done:
            _check_step(step, plan.recipe)
    skipped = [skip for name in plan.recipe.targets for skip in _skips(plan, name)]
    feasibility = Feasibility(tuple(skipped), tuple(_cautions(plan, skipped)))
    if feasibility.targets and len(feasibility.targets) == len(plan.recipe.targets):
        reasons: dict[str, list[str]] = {}
        for name, reason in feasibility.targets.items():
            reasons.setdefault(reason, []).append(f"'{name}'")
        why = "; ".join(
            f"target{'' if len(names) == 1 else 's'} {', '.join(names)}: {reason}" for reason, names in reasons.items()
        )
        raise InputError(
            f"nothing can be measured here: {why}",
            where=plan.origin.where("targets", next(iter(feasibility.targets))),
            fix="name a target of this machine; without targets and goal the models are made, and not measured",
        )
    return feasibility


def training_device(recipe: Recipe) -> Literal["cpu", "cuda"]:
    """The device on which the recipe's trainings run on this machine.

    Raises:
        InputError: the recipe names a device that this machine does not have.
    """
    if recipe.device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if recipe.device == "cuda":
        raise InputError("this machine has no CUDA device that torch can use", fix="set device: auto")
    return "cpu"


def _check_step(step: PlannedStep, recipe: Recipe) -> None:
    """Refuse a step that would fail on this machine."""
    halves = any(training.precision == "fp16" for training in step.stage.trainings(step.config))
    try:
        if recipe.device == "cuda" or halves:
            device = training_device(recipe)
            if halves and device == "cpu":
                raise InputError("a CPU does not train in fp16", fix="set precision: auto, bf16 or fp32")
        target = step.stage.times_on(step.config) if step.stage.times_on else None
        if target is not None and (reason := unavailable(target)) is not None:
            raise InputError(
                f"nothing can be timed on its target: {reason}", fix="give the step a target of this machine"
            )
    except InputError as error:
        raise InputError(f"step '{step.name}': {error.what}", where=step.where, fix=error.fix) from error


def _skips(plan: Plan, name: str) -> list[Skip]:
    """The measurements that cannot be taken on a target."""
    target = plan.recipe.targets[name]
    reason = unavailable(target)
    if reason is not None:
        return [Skip(name, reason)]
    subjects = [subject for subject in plan.subjects if subject.target == name]
    reasons: dict[str, list[str]] = {}
    for subject in subjects:
        measured = subject.measured
        form = measured.format if isinstance(measured, Artifact) else plan.step(measured).stage.output
        if (why := unfit(form, target)) is not None:
            reasons.setdefault(why, []).append(subject.step)
    if sum(map(len, reasons.values())) == len(subjects):
        return [Skip(name, "; ".join(reasons))]
    return [Skip(name, why, tuple(steps)) for why, steps in reasons.items()]


def _cautions(plan: Plan, skipped: Collection[Skip]) -> list[str]:
    """Sentences on what can be done, but is probably not what the user meant."""
    recipe, cores = plan.recipe, cores_here()
    skipped_targets = {skip.target for skip in skipped if not skip.steps}
    cautions = [
        f"target '{name}' asks for {target.threads} threads, and this process may use {cores} "
        f"core{'' if cores == 1 else 's'}: they will take turns"
        for name, target in recipe.targets.items()
        if target.device == "cpu" and target.threads > cores and name not in skipped_targets
    ]
    last = recipe.steps[-1].name
    lost = skipped_targets | {skip.target for skip in skipped if last in skip.steps}
    if recipe.goal is not None and len(skipped_targets) < len(recipe.targets) and lost == set(recipe.targets):
        cautions.append(f"the goal will be missed: the last step, '{last}', is measured on no target")
    return cautions
