"""What a run will do: planned steps with their keys, and the rows of the report to be."""

from collections.abc import Mapping
from dataclasses import dataclass

from compress.data.sources import Used
from compress.models.architectures import Shape
from compress.recipe.schema import Recipe, input_source
from compress.recipe.validation import Origin
from compress.stages import Stage, StageConfig, Told
from compress.store.artifacts import Artifact, Identity
from compress.tasks import Task

SOURCE = "source"
"""Stands in the place of a stage's name for a model that came from outside."""


@dataclass(frozen=True)
class PlannedStep:
    """A step whose settings, inputs and key are known and checked.

    Attributes:
        inputs: role -> name of an earlier planned step, or a model from outside.
        shape: sizes of the model that it will give; None where they are not known.
        only_measured: not a step of the recipe, but an export that a torch model is measured through.
    """

    name: str
    stage_name: str
    stage: Stage
    config: StageConfig
    inputs: Mapping[str, "str | Artifact"]
    identity: Identity
    shape: Shape | None
    where: str
    only_measured: bool = False

    @property
    def base(self) -> "str | Artifact":
        """What it reads in place of the step before."""
        return self.inputs[self.stage.base_role]

    @property
    def model(self) -> "str | Artifact":
        """What its own model comes from."""
        return self.stage.model_of(self.inputs)

    def facts(self, kind: type[Told], artifacts: Mapping[str, Artifact]) -> Told | None:
        """What its artifact, among those of all steps, tells of that kind; None if its stage tells nothing of it."""
        return self.stage.told(kind, artifacts[self.name].facts)


def artifact_of(value: "str | Artifact", artifacts: Mapping[str, Artifact]) -> Artifact:
    """What a plan names: a model from outside as it is, or the artifact of a planned step."""
    return value if isinstance(value, Artifact) else artifacts[value]


@dataclass(frozen=True)
class Subject:
    """One row of the report to be: a step, and the planned step or model from outside that stands for it."""

    step: str
    stage: str
    target: str
    measured: "str | Artifact"


@dataclass(frozen=True)
class Plan:
    """All that a run will do.

    Attributes:
        steps: in the order of the work, exports for measuring among them.
        subjects: rows of the report, by target and then by step.
        baselines: target -> name of the planned step, or the model, that it is compared with.
        baseline: how the report calls it.
        sources: what was read from outside.
        remarks: what a person should know of some steps on these targets, one sentence each.
    """

    recipe: Recipe
    origin: Origin
    task: Task
    steps: tuple[PlannedStep, ...]
    subjects: tuple[Subject, ...]
    baselines: Mapping[str, "str | Artifact"]
    baseline: str
    sources: tuple[Used, ...] = ()
    remarks: tuple[str, ...] = ()

    def step(self, name: str) -> PlannedStep:
        """The planned step of that name."""
        return next(step for step in self.steps if step.name == name)

    def task_for(self, recipe: Recipe) -> Task:
        """Its rows for another recipe.

        Raises:
            ValueError: the recipe says other things of what decides them.
        """
        for name in ("task", "seed", "pins", "trust_remote_code"):
            if getattr(recipe, name) != getattr(self.recipe, name):
                raise ValueError(f"a plan beside another has the same '{name}'")
        return self.task

    def outside_models(self) -> dict[str, tuple[Artifact, Used]]:
        """The models from outside that its steps read, and how each was fetched, by what the recipe calls them."""
        used = {fetched.source: fetched for fetched in self.sources if fetched.kind == "model"}
        return {
            name: (model, used[name])
            for step in self.recipe.steps
            for role, model in self.step(step.name).inputs.items()
            if isinstance(model, Artifact) and (name := input_source(step.settings, role))
        }

    def parent(self, name: str) -> str | None:
        """The row of the report that a step was made from; None for a model from outside that has no row."""
        own = next((step for step in self.steps if step.name == name), None)
        if own is None:
            return None
        if isinstance(own.base, str):
            return own.base
        return next((subject.step for subject in self.subjects if subject.stage == SOURCE), None)
