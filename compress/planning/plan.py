"""The plan of a run: its steps with their keys, and the rows of its report."""

from collections.abc import Mapping
from dataclasses import dataclass

from compress.data.sources import Used
from compress.models.architectures import Shape
from compress.recipe.schema import Recipe, input_source
from compress.recipe.validation import Origin
from compress.stages import FactsKind, Stage, StageConfig
from compress.store.artifacts import Artifact, Identity
from compress.tasks import Task

SOURCE = "source"
"""The stage's name in a report, for a model that came from outside."""


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
        """The model that it reads in its base role: the step before it, if the recipe names no other."""
        return self.inputs[self.stage.base_role]

    @property
    def model(self) -> "str | Artifact":
        """The model that its own model is made from."""
        return self.stage.model_of(self.inputs)

    def facts(self, kind: type[FactsKind], artifacts: Mapping[str, Artifact]) -> FactsKind | None:
        """The facts of a kind in its artifact's manifest; None if its stage writes no facts of that kind."""
        return self.stage.facts_of(kind, artifacts[self.name].facts)


def artifact_of(value: "str | Artifact", artifacts: Mapping[str, Artifact]) -> Artifact:
    """The artifact that a plan names: a model from outside itself, or what a planned step made."""
    return value if isinstance(value, Artifact) else artifacts[value]


@dataclass(frozen=True)
class Subject:
    """One row of the report: a step, and the planned step or model from outside that is measured for it."""

    step: str
    stage: str
    target: str
    measured: "str | Artifact"


@dataclass(frozen=True)
class Plan:
    """All that a run will do.

    Attributes:
        steps: all steps in the order of the work, with the exports that only measuring needs.
        subjects: rows of the report, by target and then by step.
        baselines: target -> name of the planned step, or the model, that it is compared with.
        baseline: the baseline's name in the report.
        sources: the tables and models from outside that were read.
        remarks: sentences that the user should know of some steps on these targets.
        simple_baselines: names of the files in `compress.baselines` that are fitted for the report.
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
    simple_baselines: tuple[str, ...] = ()

    def step(self, name: str) -> PlannedStep:
        """The planned step of that name."""
        return next(step for step in self.steps if step.name == name)

    def task_for(self, recipe: Recipe) -> Task:
        """This plan's task, for another recipe that reads the same data.

        Raises:
            ValueError: the recipe has other settings of its data.
        """
        for name in ("task", "seed", "pins", "trust_remote_code"):
            if getattr(recipe, name) != getattr(self.recipe, name):
                raise ValueError(f"a plan beside another has the same '{name}'")
        return self.task

    def outside_models(self) -> dict[str, tuple[Artifact, Used]]:
        """The models from outside that its steps read, with their sources, by their names in the recipe."""
        used = {fetched.source: fetched for fetched in self.sources if fetched.kind == "model"}
        return {
            name: (model, used[name])
            for step in self.recipe.steps
            for role, model in self.step(step.name).inputs.items()
            if isinstance(model, Artifact) and (name := input_source(step.settings, role))
        }

    def parent(self, name: str) -> str | None:
        """The report row of the model that a step was made from; None for a model from outside that has no row."""
        own = next((step for step in self.steps if step.name == name), None)
        if own is None:
            return None
        if isinstance(own.base, str):
            return own.base
        return next((subject.step for subject in self.subjects if subject.stage == SOURCE), None)
