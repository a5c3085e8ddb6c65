"""The techniques. One file = one technique; the file's name is what a recipe's `stage:` says.

A stage module is light to import (torch is imported inside `run`), because the command line reads every
stage's settings to make its command.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field

from compress.context import KnownStep
from compress.facts import Facts
from compress.machine.processor import saturates
from compress.models.architectures import Shape
from compress.recipe.schema import Model, Target, TaskSpec
from compress.registry import Registry
from compress.training.config import TrainingConfig, trainings_in

Of = TypeVar("Of")
Told = TypeVar("Told", bound=Facts)


class StageConfig(Model):
    """A stage's settings: frozen, unknown keys refused, the fields' docstrings are the help text."""


def _named(value: Any) -> Any:
    """A text of names as a list of them."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_named)]
"""Names, given as a list or as a text with commas between them."""


class RoundingConfig(StageConfig):
    """What all quantizers of ONNX graphs are told of accuracy."""

    TOPIC: ClassVar[str] = "Accuracy"

    keep_float: Names = ()
    """Names of nodes whose weights are not rounded."""
    max_drop_pp: float | None = Field(None, ge=0, le=100)
    """Largest loss, in percentage points, on training rows that are held back: the layers that need it stay in float,
    as few as possible. Left out: all are rounded."""
    min_agreement: float = Field(0.8, ge=0, le=1)
    """Fail if fewer rows than this share keep their best class, or if Cohen's kappa, the agreement beyond chance, is
    less than half of it."""


@dataclass(frozen=True)
class Input:
    """A role that a stage reads.

    Attributes:
        format: the artifact's format.
        optional: may be left out.
        head: task: the model has the task's. made: it may lack it, as a pretrained one does: the stage makes it.
            own: it has another, which the stage asks.
        many: a recipe may name a list; the stage gets a tuple, also of one.
    """

    format: str
    optional: bool = False
    head: Literal["task", "made", "own"] = "task"
    many: bool = False


@dataclass(frozen=True)
class Stage:
    """A technique.

    Attributes:
        config: its settings.
        run: `run(config=…, context=…, out=…, **inputs)` writes the artifact below `out`, returns facts for the
            manifest. An input is an Artifact, or None for an optional one that was left out; a tuple for `many`.
        inputs: role -> Input.
        output: format of what it writes.
        version: raised when the same settings begin to give another result.
        shape: (settings, shapes of the inputs by role) -> shape of the output, or None where it is not known.
            Refuses what the shapes forbid, before any work. Left out: that of the model which its own comes from.
        base_role: which reads the step before, where it is not named; left out: the first of `inputs`.
        model_role: whose model its own comes from, where that one is given; else, or left out, the base role's.
        teacher_role: whose model it learns from, and then from the task's unlabelled rows too; left out: of none.
        makes_teacher: whether it makes a pretrained model into one for the task: a teacher for later steps, and the
            baseline of a recipe that names none.
        tag: what the hub calls a model that it has made: pruned, quantized.
        writes_floats: whether all weights that it writes are 32-bit floats, where the format leaves that open.
        needs_data: whether it reads training rows; asked with the settings where these decide it.
        changes_tokenizer: whether texts become other token ids for its model than for the one that it reads.
        settle: (settings, instruction sets of this machine) -> settings in which nothing is left to the machine; what
            was decided stands in the artifact's key.
        check: refuses, before any work, what it cannot do with the models that its step reads.
        remark: (settings, the recipe's targets by name) -> what a person should know of the step there, or None.
        times_on: settings -> the target that the step times models on, or None if it times none.
        trainings: settings -> the trainings that the step will do.
        facts: the type of what `run` returns, where reports and cards tell of it; `compress.facts` has them.
    """

    config: type[StageConfig]
    run: Callable[..., Facts | Mapping[str, Any] | None]
    inputs: Mapping[str, Input]
    output: str
    version: int
    shape: Callable[[Any, Mapping[str, Shape | None]], Shape | None] | None = None
    base_role: str = ""
    model_role: str = ""
    teacher_role: str = ""
    makes_teacher: bool = False
    tag: str = ""
    writes_floats: bool = False
    needs_data: bool | Callable[[Any], bool] = True
    changes_tokenizer: bool = False
    settle: Callable[[Any, Sequence[str]], Any] | None = None
    check: Callable[[KnownStep], None] | None = None
    remark: Callable[[Any, Mapping[str, Target]], str | None] | None = None
    times_on: Callable[[Any], Target | None] | None = None
    trainings: Callable[[Any], Sequence[TrainingConfig]] = trainings_in
    facts: type[Facts] = Facts

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ValueError("a stage reads one model at least")
        for role in (self.base_role, self.model_role, self.teacher_role):
            if role and role not in self.inputs:
                raise ValueError(f"'{role}' is none of the stage's inputs: {', '.join(self.inputs)}")
        base = self.base_role or next(iter(self.inputs))
        object.__setattr__(self, "base_role", base)
        object.__setattr__(self, "model_role", self.model_role or base)

    def reads_data(self, config: StageConfig) -> bool:
        """Whether it reads training rows, with these settings."""
        return self.needs_data(config) if callable(self.needs_data) else self.needs_data

    def model_of(self, inputs: Mapping[str, Of]) -> Of:
        """What its model comes from, among what it reads by role."""
        return inputs[self.model_role if self.model_role in inputs else self.base_role]

    def shape_of(self, config: StageConfig, shapes: Mapping[str, Shape | None]) -> Shape | None:
        """Sizes of what it gives, from those of what it reads by role.

        Raises:
            InputError: it cannot give any.
        """
        return self.model_of(shapes) if self.shape is None else self.shape(config, shapes)

    @property
    def base(self) -> Input:
        """What it reads first."""
        return self.inputs[self.base_role]

    def told(self, kind: type[Told], facts: Mapping[str, Any]) -> Told | None:
        """What a manifest of its tells of that kind; None if it writes nothing of it."""
        return kind.read(facts) if issubclass(self.facts, kind) else None

    @property
    def other_inputs(self) -> dict[str, Input]:
        """What it reads beside its base."""
        return {role: wanted for role, wanted in self.inputs.items() if role != self.base_role}


OPTIONS = frozenset("name stage first_input how auto out seed runs_dir force json json_output help debug".split())
"""What recipes call a step's own keys, and commands their own options, beside those of the data."""


def _check(stage: Any) -> None:
    """Refuse what a package calls a stage, and is none.

    Raises:
        TypeError: it is none, or its settings or inputs are not what a stage's are.
        ValueError: a setting has a name that recipes and commands have for something else.
    """
    if not isinstance(stage, Stage):
        raise TypeError(f"STAGE is of type {type(stage).__name__}, and compress.stages.Stage is needed")
    if not issubclass(stage.config, StageConfig):
        raise TypeError(f"its settings, {stage.config.__name__}, are no compress.stages.StageConfig")
    if not all(isinstance(wanted, Input) for wanted in stage.inputs.values()):
        raise TypeError("STAGE.inputs needs a compress.stages.Input for each role")
    stage.config.model_json_schema()  # raises what is wrong with the settings
    reserved = OPTIONS | set(TaskSpec.model_fields) | {f"{role}_column" for role in ("text", "text_pair", "label")}
    taken = sorted({*stage.config.model_fields, *stage.inputs} & reserved)
    taken += sorted({*stage.config.model_fields} & {*stage.inputs})
    if taken:
        raise ValueError(f"{', '.join(taken)}: recipes and commands have that name for something else")


REGISTRY = Registry("stage", __name__, "STAGE", check=_check)


def names() -> list[str]:
    """All stages: the files of this folder, and those of plug-ins."""
    return REGISTRY.names()


def find(name: str, where: str | None = None) -> Stage:
    """The stage of that name.

    Raises:
        InputError: there is none, or the plug-in that has it cannot be used.
    """
    stage: Stage = REGISTRY.find(name, where)
    return stage


def roles_of(name: str) -> tuple[str, ...]:
    """What steps of a stage may read; nothing, where no stage has that name."""
    return tuple(find(name).inputs) if name in names() else ()


def settle_range(config: Any, isa: Sequence[str]) -> Any:
    """The settle rule of int8 stages: `reduce_range` as this machine needs it, where it was left out.

    Weights that are written as uint8 need none: ONNX Runtime's kernels for them sum in 32 bits everywhere.
    """
    if config.reduce_range is not None:
        return config
    reduces = saturates(isa) and getattr(config, "weight_type", "int8") != "uint8"
    return config.model_copy(update={"reduce_range": reduces})


def refuse_idle_settings(config: StageConfig, deciding: str, idle: Mapping[str, str]) -> None:
    """Refuse settings that were given although another one lets them do nothing.

    Args:
        config: of which `deciding` names the setting that decides.
        idle: each setting that does nothing beside the value of `deciding` -> what to take so that it does something.

    Raises:
        ValueError: one of them is not as it is when it is left out.
    """
    chosen = getattr(config, deciding)
    beside = f"without {deciding}" if chosen is None else f"with {deciding}: {str(chosen).lower()}"
    for name, instead in idle.items():
        if getattr(config, name) != type(config).model_fields[name].default:
            raise ValueError(f"{name} does nothing {beside}; leave it out, or take {instead}")
