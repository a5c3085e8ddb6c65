"""Recipe -> plan. Every check that needs no weights happens here, before any work."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from compress import formats, runtimes, stages
from compress.context import KnownModel, KnownStep
from compress.data.sources import Sources, Used
from compress.errors import InputError, did_you_mean
from compress.machine.processor import instruction_sets
from compress.models.architectures import Shape, positions_of, read_shape
from compress.models.config_file import read_config
from compress.plan.fitting import check_input, check_targets, check_timed, several
from compress.plan.outside import outside_artifact
from compress.plan.plan import SOURCE, Plan, PlannedStep, Subject
from compress.recipe.schema import Recipe, Step, Target, role_names, role_of
from compress.recipe.validation import Origin, validate
from compress.stages import Stage, StageConfig
from compress.store.artifacts import Artifact, Identity
from compress.tasks import Task, load_task


def make_plan(
    recipe: Recipe, origin: Origin, announce: Callable[[str], None] = lambda _: None, *, beside: Plan | None = None
) -> Plan:
    """Check a recipe against its stages, sources, data and targets.

    Args:
        announce: told in one line before a download.
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
        sources.used.update({(table.kind, table.said): table for table in beside.sources if table.kind == "table"})
    check_targets(recipe, task, origin)
    planner = _Planner(recipe, origin, task, sources, beside.outside_models() if beside else {})
    for index, step in enumerate(recipe.steps):
        planner.add(index, step)
    subjects, baselines, baseline = planner.subjects()
    used, remarks = tuple(sources.used.values()), (*origin.remarks, *planner.remarks())
    return Plan(recipe, origin, task, tuple(planner.planned), subjects, baselines, baseline, used, remarks)


def _check_steps(recipe: Recipe, origin: Origin) -> None:
    """What can be said of the steps before anything is fetched: stages and settings."""
    for index, step in enumerate(recipe.steps):
        stage = stages.find(step.stage, origin.where("steps", index, "stage"))
        _config(step, stage, index, origin)


def _split_settings(step: Step, stage: Stage) -> tuple[dict[str, Any], dict[str, Any]]:
    """A step's (inputs, settings) as written."""
    inputs = {role: value for role, value in step.settings.items() if role in stage.inputs}
    return inputs, {key: value for key, value in step.settings.items() if key not in stage.inputs}


def _config(step: Step, stage: Stage, index: int, origin: Origin) -> StageConfig:
    _, settings = _split_settings(step, stage)
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
    """Collects planned steps, one recipe step after the other."""

    def __init__(
        self,
        recipe: Recipe,
        origin: Origin,
        task: Task,
        sources: Sources,
        models: Mapping[str, tuple[Artifact, Used]],
    ) -> None:
        self.recipe, self.origin, self.task, self.sources, self.models = recipe, origin, task, sources, models
        self.planned: list[PlannedStep] = []
        self.made: dict[str, KnownModel] = {}
        """What each planned step gives, by its name."""

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
            shape = self._checked(stage, config, inputs)
        except InputError as error:
            raise InputError(f"step '{step.name}': {error.what}", where=where, fix=error.fix) from error
        self._append(self._planned(step.name, step.stage, stage, config, inputs, shape, where))

    def _append(self, step: PlannedStep) -> None:
        read = self._known(step.model)
        tokenizer = step.name if step.stage.changes_tokenizer else read.tokenizer
        self.planned.append(step)
        self.made[step.name] = KnownModel(read.origin, step.name, step.shape, tokenizer)

    def _inputs(self, index: int, step: Step, stage: Stage) -> "dict[str, str | Artifact]":
        """What the step reads, by role."""
        inputs: dict[str, str | Artifact] = {}
        for role, wanted in stage.inputs.items():
            where = self.origin.where("steps", index, role)
            read = self._read(step, stage, role, where)
            for value in read.values():
                check_input(step.name, wanted, value, self._format(value), self.task, self.recipe.targets, where)
            inputs |= read
        return inputs

    def _read(self, step: Step, stage: Stage, role: str, where: str) -> "dict[str, str | Artifact]":
        """What the step reads in one role: what it names; in the base role, if it names none, the step before."""
        if role in step.settings:
            said = step.settings[role]
            values = several(said, role, where) if stage.inputs[role].many else [said]
            names = role_names(role, len(values))
            return {name: self._resolve(value, role, where) for name, value in zip(names, values, strict=True)}
        if role == stage.base_role:
            if self.planned:
                return {role: self.planned[-1].name}
            raise InputError(
                f"step '{step.name}' has no '{role}': there is no step before it",
                where=where,
                fix=f"add {role}: a path, hf://org/name@revision or pypi://dist==version/path",
            )
        if not stage.inputs[role].optional:
            raise InputError(f"step '{step.name}' has no '{role}'", where=where, fix=f"add {role}: a step or a model")
        return {}

    def _resolve(self, value: Any, role: str, where: str) -> "str | Artifact":
        if not isinstance(value, str):
            raise InputError(f"'{role}' is {value!r}", where=where, fix="name an earlier step, or a model's source")
        if value in self.made:
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
        try:
            fetched = self.sources.model(value, where)
        except InputError as error:
            if "/" not in value and self.planned:
                raise InputError(
                    f"'{value}' is neither an earlier step nor a model's folder",
                    where=where,
                    fix=did_you_mean(value, [step.name for step in self.planned]),
                ) from error
            raise
        return outside_artifact(fetched, self.task)

    def _format(self, value: "str | Artifact") -> str:
        return value.format if isinstance(value, Artifact) else self.planned_step(value).stage.output

    def _checked(self, stage: Stage, config: StageConfig, inputs: "Mapping[str, str | Artifact]") -> Shape | None:
        """Sizes of the model that a step will give, once its stage finds nothing wrong with what it reads."""
        read = {name: self._known(value) for name, value in inputs.items()}
        model = stage.model_of(read)
        if stage.times_on is not None and (timed := stage.times_on(config)) is not None:
            check_timed(timed, model.origin)
        shape = stage.shape_of(config, {name: known.shape for name, known in read.items()})
        if stage.check is not None:
            roles = {role_of(name) for name in read}
            by_role = {role: tuple(read[name] for name in read if role_of(name) == role) for role in roles}
            stage.check(KnownStep(config, by_role, model, shape, self._longest(model.origin), self.task))
        return shape

    def _longest(self, model: Path) -> int:
        """Tokens of the longest text that a model from outside, or what is made of it, will be given."""
        asked = [self.task.spec.max_length, *(target.sequence_length for target in self.recipe.targets.values())]
        if not self.task.train and not self.task.test:  # it will be given all that it takes
            asked.append(positions_of(read_config(model)) or 0)
        return max(asked)

    def _known(self, value: "str | Artifact") -> KnownModel:
        """What is known of a model from outside, or of one that a planned step will make."""
        if isinstance(value, Artifact):
            return KnownModel(value.path, None, read_shape(read_config(value.path)), value.path)
        return self.made[value]

    def planned_step(self, name: str) -> PlannedStep:
        return next(step for step in self.planned if step.name == name)

    def _planned(
        self,
        name: str,
        stage_name: str,
        stage: Stage,
        config: StageConfig,
        inputs: "Mapping[str, str | Artifact]",
        shape: Shape | None,
        where: str,
    ) -> PlannedStep:
        identity = Identity(
            stage=stage_name,
            version=stage.version,
            config=config.model_dump(mode="json"),
            inputs={role: self._key(value) for role, value in inputs.items()},
            data=self._data_key(stage, config),
            seed=self.recipe.seed if stage.reads_data(config) else 0,
            package=plugin.package if (plugin := stages.REGISTRY.plugin(stage_name)) else None,
        )
        return PlannedStep(name, stage_name, stage, config, dict(inputs), identity, shape, where)

    def _data_key(self, stage: Stage, config: StageConfig) -> str:
        """What stands for the data in the key of a stage: no more than it can see."""
        if not stage.reads_data(config):
            return self.task.hub_task
        return self.task.transfer_key if stage.teacher_role else self.task.train_key

    def _key(self, value: "str | Artifact") -> str:
        return value.key if isinstance(value, Artifact) else self.planned_step(value).identity.key

    def subjects(self) -> "tuple[tuple[Subject, ...], dict[str, str | Artifact], str]":
        """Rows to measure, the baseline of each target, and its name; plans the exports that measuring needs."""
        baseline, baseline_name = self._baseline()
        own = list(self.planned)
        subjects: list[Subject] = []
        baselines: dict[str, str | Artifact] = {}
        for target_name, target in self.recipe.targets.items():
            baselines[target_name] = self._measured_as(baseline, target)
            if isinstance(baseline, Artifact):
                subjects.append(Subject(baseline_name, SOURCE, target_name, baselines[target_name]))
            for step in own:
                subjects.append(Subject(step.name, step.stage_name, target_name, self._measured_as(step.name, target)))
        return tuple(subjects), baselines, baseline_name

    def remarks(self) -> list[str]:
        """What stages say of the recipe's steps on its targets."""
        told = [
            (step.name, step.stage.remark(step.config, self.recipe.targets))
            for step in self.planned
            if step.stage.remark is not None
        ]
        return [f"step '{name}': {said}" for name, said in told if said]

    def _baseline(self) -> "tuple[str | Artifact, str]":
        """The float model that all is compared with: the named step, the first fine-tuned one, or the chain's input."""
        if self.recipe.baseline is not None:
            return self.recipe.baseline, self.recipe.baseline
        teacher = next((step for step in self.planned if step.stage.makes_teacher), None)
        return (self.planned[0].base, "baseline") if teacher is None else (teacher.name, teacher.name)

    def _measured_as(self, value: "str | Artifact", target: Target) -> "str | Artifact":
        """What stands for a model on a target: itself, or its export to a format that the target's runtime takes."""
        export = self._export(self._format(value), target)
        if export is None:
            return value
        stage = stages.find(export)
        config = next((step.config for step in self.planned if step.stage_name == export), stage.config())
        name = f"{value if isinstance(value, str) else 'input model'} as {stage.output}"  # spaces: no step's name
        try:
            shape = self._checked(stage, config, {stage.base_role: value})
        except InputError as error:
            what = f"'{value}'" if isinstance(value, str) else "the model"
            raise InputError(
                f"{what} is to be measured as {formats.find(stage.output).title}: {error.what}",
                where=self.origin.where("targets"),
                fix=error.fix,
            ) from error
        planned = self._planned(name, export, stage, config, {stage.base_role: value}, shape, self.origin.path)
        same = next((step for step in self.planned if step.identity.key == planned.identity.key), None)
        if same is not None:
            return same.name
        self._append(replace(planned, only_measured=True))
        return name

    def _export(self, form: str, target: Target) -> str | None:
        """The stage that writes a model of a format in one that the target takes, if there is need for it."""
        taken = runtimes.find(target.runtime).FORMATS
        if form in taken:
            return None
        exports = [export for name in taken if (export := formats.find(name).export) is not None]
        return next((name for name in exports if stages.find(name).base.format == form), None)
