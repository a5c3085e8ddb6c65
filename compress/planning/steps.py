"""The planned steps so far, with what is known of their models: formats, sizes and keys."""

from collections.abc import Mapping
from pathlib import Path

from compress import stages
from compress.context import KnownModel, KnownStep
from compress.files.whole import fingerprint
from compress.models.architectures import Shape, positions_of, read_shape
from compress.models.config_file import read_config
from compress.planning.fitting import check_timed
from compress.planning.plan import PlannedStep
from compress.recipe.schema import Recipe, role_of
from compress.stages import Stage, StageConfig
from compress.store.artifacts import Artifact, Identity
from compress.tasks import Task


class Steps:
    """Planned steps, each of which reads models from outside or models of earlier steps.

    Attributes:
        planned: the steps, in their order.
    """

    def __init__(self, recipe: Recipe, task: Task) -> None:
        self.recipe, self.task = recipe, task
        self.planned: list[PlannedStep] = []
        self._models: dict[str, KnownModel] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def find(self, name: str) -> PlannedStep:
        """The step of that name."""
        return next(step for step in self.planned if step.name == name)

    def append(self, step: PlannedStep) -> None:
        """Add a step after those that it reads."""
        model = self.known_model(step.model)
        tokenizer = step.name if step.stage.changes_tokenizer else model.tokenizer
        self.planned.append(step)
        self._models[step.name] = KnownModel(model.origin, step.name, step.shape, tokenizer)

    def known_model(self, value: "str | Artifact") -> KnownModel:
        """What is known before the run of a model from outside, or of one that a planned step will make."""
        if isinstance(value, Artifact):
            return KnownModel(value.path, None, read_shape(read_config(value.path)), value.path)
        return self._models[value]

    def format_of(self, value: "str | Artifact") -> str:
        """The format of a model from outside, or of one that a planned step will make."""
        return value.format if isinstance(value, Artifact) else self.find(value).stage.output

    def plan(
        self, name: str, stage_name: str, config: StageConfig, inputs: "Mapping[str, str | Artifact]", where: str
    ) -> PlannedStep:
        """A new planned step, checked by its stage, with its key; it is not added to the others yet.

        Args:
            inputs: role -> name of a planned step, or a model from outside.
            where: its place in the recipe.

        Raises:
            InputError: the stage cannot do its work on the models that it reads.
        """
        stage = stages.find(stage_name)
        shape = self._checked(stage, config, {name: self.known_model(value) for name, value in inputs.items()})
        identity = self._identity(stage_name, stage, config, inputs)
        return PlannedStep(name, stage_name, stage, config, dict(inputs), identity, shape, where)

    def _checked(self, stage: Stage, config: StageConfig, models: Mapping[str, KnownModel]) -> Shape | None:
        """Sizes of the model that a step will make, after its stage has checked the models that it reads."""
        model = stage.model_of(models)
        if stage.times_on is not None and (timed := stage.times_on(config)) is not None:
            check_timed(timed, model.origin)
        shape = stage.shape_of(config, {name: source_model.shape for name, source_model in models.items()})
        if stage.check is not None:
            roles = {role_of(name) for name in models}
            by_role = {role: tuple(models[name] for name in models if role_of(name) == role) for role in roles}
            stage.check(KnownStep(config, by_role, model, shape, self._longest(model.origin), self.task))
        return shape

    def _longest(self, model: Path) -> int:
        """Tokens of the longest text that will be given to a model from outside, or to one made from it."""
        lengths = [self.task.spec.max_length, *(target.sequence_length for target in self.recipe.targets.values())]
        if not self.task.train and not self.task.test:  # built-in texts may be as long as the model takes
            lengths.append(positions_of(read_config(model)) or 0)
        return max(lengths)

    def _identity(
        self, stage_name: str, stage: Stage, config: StageConfig, inputs: "Mapping[str, str | Artifact]"
    ) -> Identity:
        reads_data = stage.reads_data(config)
        rows = self.task.transfer_key if stage.teacher_role else self.task.train_key
        return Identity(
            stage=stage_name,
            version=stage.version,
            config=config.model_dump(mode="json"),
            inputs={role: self._key(value) for role, value in inputs.items()},
            data=rows if reads_data else self._without_rows(stage),  # only what the stage can see
            seed=self.recipe.seed if reads_data else 0,
            package=plugin.package if (plugin := stages.REGISTRY.plugin(stage_name)) else None,
        )

    def _without_rows(self, stage: Stage) -> str:
        """What a stage that reads no rows knows of the data: the task, and the labels where it gives them to a head."""
        task = self.task
        knows_labels = any(requirement.head == "made" for requirement in stage.inputs.values())
        return fingerprint({"task": task.hub_task, "labels": task.labels}) if knows_labels else task.hub_task

    def _key(self, value: "str | Artifact") -> str:
        return value.key if isinstance(value, Artifact) else self.find(value).identity.key
