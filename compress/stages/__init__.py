"""The techniques. One file = one technique; the file's name is what a recipe's `stage:` says.

A stage module is light to import (torch is imported inside `run`), because the command line reads the settings of every
stage to make its command.
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

Value = TypeVar("Value")
FactsKind = TypeVar("FactsKind", bound=Facts)


class StageConfig(Model):
    """A stage's settings: frozen, unknown keys refused, the fields' docstrings are the help text."""


def _split_names(value: Any) -> Any:
    """A text of names, separated by commas, as a list of names."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_names)]
"""Names, given as a list or as a text with commas between them."""


class RoundingConfig(StageConfig):
    """The settings of accuracy that all quantizers of ONNX graphs have."""

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
        format: the format of the artifact.
        optional: whether a step may leave it out.
        head: `task`: the model has a head for the task. `made`: it may lack one, as a pretrained model does, and the
            stage makes it. `own`: it has another head, which the stage uses.
        many: whether a recipe may name a list of models; the stage gets a tuple, even of one.
    """

    format: str
    optional: bool = False
    head: Literal["task", "made", "own"] = "task"
    many: bool = False


STUDENT_INPUTS: Mapping[str, Input] = {
    "teacher": Input("torch", many=True),
    "student": Input("torch", optional=True, head="made"),
    "masked_model": Input("torch", optional=True, head="own"),
}
"""What a stage reads that teaches a student: the teachers, what the student starts from, who fills in masked words."""


@dataclass(frozen=True)
class Stage:
    """A technique.

    Attributes:
        config: the class of its settings.
        run: `run(config=…, context=…, out=…, **inputs)` writes the artifact below `out`, returns facts for the
            manifest. An input is an Artifact, or None for an optional one that was left out; a tuple for `many`.
        inputs: what it reads, by role.
        output: the format of the artifact that it writes.
        version: a number that is raised when the same settings give another result than before.
        shape: (settings, shapes of the inputs by role) -> shape of the output, or None where it is not known. Refuses
            settings that do not fit the shapes, before any work. Left out: the shape of the model it is made from.
        base_role: the role that reads the step before if the recipe names nothing; left out: the first of `inputs`.
        model_role: the role of the model that its own is made from; left out, or if the recipe names none: the base.
        teacher_role: the role of the model that it learns from; it learns from unlabelled rows too. Left out: none.
        makes_teacher: whether it trains a pretrained model for the task: a teacher for later steps, and the baseline of
            a recipe that names none.
        tag: the hub's tag for a model that it has made: pruned, quantized.
        writes_floats: whether all weights that it writes are 32-bit floats, if its format can hold others too.
        needs_data: whether it reads training rows; a function of the settings where these decide it.
        changes_tokenizer: whether its model's tokenizer gives other token ids than that of the model that it reads.
        settle: (settings, instruction sets of this machine) -> settings in which nothing depends on the machine any
            more; the artifact's key is made of these.
        check: refuses, before any work, a step whose models it cannot work on.
        remark: (settings, the recipe's targets by name) -> a sentence that the user should know of the step, or None.
        times_on: settings -> the target on which the step measures latency, or None if it measures none.
        trainings: settings -> the trainings that the step will do.
        facts: the type of the facts that `run` returns for reports and cards; `compress.facts` has all types.
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

    def model_of(self, inputs: Mapping[str, Value]) -> Value:
        """The model that its own is made from, among its inputs by role."""
        return inputs[self.model_role if self.model_role in inputs else self.base_role]

    def shape_of(self, config: StageConfig, shapes: Mapping[str, Shape | None]) -> Shape | None:
        """Sizes of the model that it makes, from the sizes of its inputs by role.

        Raises:
            InputError: the settings do not fit the sizes.
        """
        return self.model_of(shapes) if self.shape is None else self.shape(config, shapes)

    @property
    def base(self) -> Input:
        """The input of its base role."""
        return self.inputs[self.base_role]

    def facts_of(self, kind: type[FactsKind], facts: Mapping[str, Any]) -> FactsKind | None:
        """The facts of a kind in a manifest that this stage wrote; None if it writes no such facts."""
        return kind.read(facts) if issubclass(self.facts, kind) else None

    @property
    def other_inputs(self) -> dict[str, Input]:
        """The inputs of all roles but the base role."""
        return {role: requirement for role, requirement in self.inputs.items() if role != self.base_role}


OPTIONS = frozenset("name stage first_input how auto out seed runs_dir force json json_output help debug".split())
"""Names that no setting or input may have: recipes' keys of a step, and commands' own options."""


def _check(stage: Any) -> None:
    """Refuse an object of a plug-in that is no stage.

    Raises:
        TypeError: it is none, or its settings or inputs are not what a stage's are.
        ValueError: a setting has a name that recipes and commands use for something else.
    """
    if not isinstance(stage, Stage):
        raise TypeError(f"STAGE is of type {type(stage).__name__}, and compress.stages.Stage is needed")
    if not issubclass(stage.config, StageConfig):
        raise TypeError(f"its settings, {stage.config.__name__}, are no compress.stages.StageConfig")
    if not all(isinstance(requirement, Input) for requirement in stage.inputs.values()):
        raise TypeError("STAGE.inputs needs a compress.stages.Input for each role")
    stage.config.model_json_schema()  # raises what is wrong with the settings
    reserved = OPTIONS | set(TaskSpec.model_fields) | {f"{role}_column" for role in ("text", "text_pair", "label")}
    clashes = sorted({*stage.config.model_fields, *stage.inputs} & reserved)
    clashes += sorted({*stage.config.model_fields} & {*stage.inputs})
    if clashes:
        raise ValueError(f"{', '.join(clashes)}: recipes and commands have that name for something else")


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
    """The roles that steps of a stage may name; empty, where no stage has that name."""
    return tuple(find(name).inputs) if name in names() else ()


def settle_range(config: Any, isa: Sequence[str]) -> Any:
    """The `settle` function of int8 stages: it sets `reduce_range` as this machine needs it, where it was left out.

    Weights that are written as uint8 need none: ONNX Runtime's kernels for them sum in 32 bits everywhere.
    """
    if config.reduce_range is not None:
        return config
    reduces = saturates(isa) and getattr(config, "weight_type", "int8") != "uint8"
    return config.model_copy(update={"reduce_range": reduces})


def refuse_idle_settings(config: StageConfig, deciding: str, idle: Mapping[str, str]) -> None:
    """Refuse settings that have no effect because of the value of another one.

    Args:
        config: the settings of a step.
        deciding: the name of the setting that decides.
        idle: each setting that has no effect beside that value -> what to take so that it has one.

    Raises:
        ValueError: one of them is set.
    """
    value = getattr(config, deciding)
    condition = f"without {deciding}" if value is None else f"with {deciding}: {str(value).lower()}"
    for name, instead in idle.items():
        if getattr(config, name) != type(config).model_fields[name].default:
            raise ValueError(f"{name} does nothing {condition}; leave it out, or take {instead}")
