"""The planned steps so far: what is known of the models that they give, their sizes, and their keys."""

from collections.abc import Mapping
from pathlib import Path

from compress import stages
from compress.context import KnownModel, KnownStep
from compress.models.architectures import Shape, positions_of, read_shape
from compress.models.config_file import read_config
from compress.plan.fitting import check_timed
from compress.plan.plan import PlannedStep
from compress.recipe.schema import Recipe, role_of
from compress.stages import Stage, StageConfig
from compress.store.artifacts import Artifact, Identity
from compress.tasks import Task


class Steps:
    """Planned steps, each of which reads models from outside or what an earlier one gives.

    Attributes:
        planned: in their order.
    """

    def __init__(self, recipe: Recipe, task: Task) -> None:
        self.recipe, self.task = recipe, task
        self.planned: list[PlannedStep] = []
        self._given: dict[str, KnownModel] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def find(self, name: str) -> PlannedStep:
        """The step of that name."""
        return next(step for step in self.planned if step.name == name)

    def append(self, step: PlannedStep) -> None:
        """Add a step, behind those that it reads."""
        read = self.known(step.model)
        tokenizer = step.name if step.stage.changes_tokenizer else read.tokenizer
        self.planned.append(step)
        self._given[step.name] = KnownModel(read.origin, step.name, step.shape, tokenizer)

    def known(self, value: "str | Artifact") -> KnownModel:
        """What is known of a model from outside, or of one that a planned step will give."""
        if isinstance(value, Artifact):
            return KnownModel(value.path, None, read_shape(read_config(value.path)), value.path)
        return self._given[value]

    def format_of(self, value: "str | Artifact") -> str:
        """The format of a model from outside, or of one that a planned step will give."""
        return value.format if isinstance(value, Artifact) else self.find(value).stage.output

    def plan(
        self, name: str, stage_name: str, config: StageConfig, inputs: "Mapping[str, str | Artifact]", where: str
    ) -> PlannedStep:
        """A step, checked by its stage, with its key; it is not among the others yet.

        Args:
            inputs: role -> name of a planned step, or a model from outside.
            where: it stands in the recipe.

        Raises:
            InputError: the stage cannot do that with what it reads.
        """
        stage = stages.find(stage_name)
        shape = self._checked(stage, config, {name: self.known(value) for name, value in inputs.items()})
        identity = self._identity(stage_name, stage, config, inputs)
        return PlannedStep(name, stage_name, stage, config, dict(inputs), identity, shape, where)

    def _checked(self, stage: Stage, config: StageConfig, read: Mapping[str, KnownModel]) -> Shape | None:
        """Sizes of the model that a step will give, once its stage finds nothing wrong with what it reads."""
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
            data=rows if reads_data else self.task.hub_task,  # no more than it can see
            seed=self.recipe.seed if reads_data else 0,
            package=plugin.package if (plugin := stages.REGISTRY.plugin(stage_name)) else None,
        )

    def _key(self, value: "str | Artifact") -> str:
        return value.key if isinstance(value, Artifact) else self.find(value).identity.key
