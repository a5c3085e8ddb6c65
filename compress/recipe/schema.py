"""The recipe: the YAML's shape.

A recipe says what to make (`task`, `steps`), where to measure it (`targets`) and what is good enough
(`goal`). A step's own settings stay raw here: the stage that the step names validates them in
`compress.planning.planner`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from compress.recipe.known_name import KnownName
from compress.recipe.reading import Reading, checked

TABLES = ("train", "validation", "test", "unlabelled")
"""The keys of a task that name tables of rows."""
RUNTIMES = "compress.runtimes"
"""The package with the registry of runtimes."""
BASELINES = "compress.baselines"
"""The package with the registry of simple baselines."""
Family = Literal["teacher", "linear", "ngrams", "convolution", "layers", "pruned", "narrow", "elastic"]
"""The kinds of models that a search tries."""
FEWEST_PROCESSES = 3
"""Fewest processes for an interval of a speed-up; with fewer it would be a guess."""
CLAIM_PROCESSES = 5
"""Fewest processes for a verdict: faster, slower or as fast."""


OWN_NAMES = ("store",)
"""Names that a run may not have, because their folder has another use."""
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names that are devices to Windows, in any folder and with any ending."""


def _folder_name(name: str) -> str:
    """A name that can be a folder on every system.

    Raises:
        ValueError: the name cannot be a folder.
    """
    if name.partition(".")[0].lower() in DEVICES:
        raise ValueError("a device on Windows has that name; choose another")
    if name.endswith("."):
        raise ValueError("a dot at the end of a name is lost on Windows; leave it out")
    return name


class Model(BaseModel):
    """A frozen piece of a recipe that refuses unknown keys.

    Attributes:
        TOPIC: what its fields are about, in the help of commands that take them as options.
        ADDED_LATER: fields of its own that a released model lacked. They are not written at their defaults, so that the
            keys of older artifacts stay the same.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        defer_build=True,  # a command builds the few that it checks, not all
    )
    TOPIC: ClassVar[str] = "Settings"
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        later = {name for kind in type(self).__mro__ for name in kind.__dict__.get("ADDED_LATER", ())}
        idle = {name for name in later if getattr(self, name) == fields[name].default}
        return {name: value for name, value in dump(self).items() if name not in idle}

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """The value, if it is not a boolean in the place of a number: pydantic would read `epochs: true` as 1."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and not {bool, Any} & {annotation, *get_args(annotation)}:
            raise ValueError("true and false do not fit here")
        return value


SELECTED_SHARE = 0.2
"""Share of the training rows that is selected on, where it is one part alone."""


class Selecting(Model):
    """A part of the training rows on which models are selected."""

    TOPIC = "Selecting"

    part: int = Field(0, ge=0)
    """Which part, counted from 0; two parts have no row in common."""
    parts: int = Field(1, ge=1, le=10)
    """How many parts there are. 1: a fifth of the rows."""

    @property
    def share(self) -> float:
        """The share of the training rows in a part."""
        return SELECTED_SHARE if self.parts == 1 else 1 / self.parts

    @model_validator(mode="after")
    def _is_there(self) -> "Selecting":
        if self.part >= self.parts:
            raise ValueError(f"there is no part {self.part} of {self.parts}: they are counted from 0")
        return self


class TaskSpec(Model):
    """The data, and what is to be predicted from it."""

    TOPIC: ClassVar[str] = "Data"

    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "text_classification"
    """Kind of task: the name of a file in compress/tasks, or of a package's task."""
    train: str | None = None
    """Training rows: a path, hf://org/name@revision?split=train, or pypi://dist==version/path."""
    validation: str | None = None
    """Validation rows. Left out: `validation_fraction` of the training rows, drawn by the seed."""
    test: str | None = None
    """Test rows, used for measuring alone. Left out: `test_fraction` of the training rows."""
    unlabelled: str | None = None
    """Texts without labels, for the stages that train under a teacher: it says what to learn from them."""
    encoding: str | None = None
    """Encoding of text files without a mark that are not UTF-8: cp1252, latin-1, utf-16-le, …"""
    delimiter: str | None = None
    """What separates cells: a sign in quotes, or tab, semicolon, pipe, … Left out: what a file's first rows show."""
    sheet: str | None = None
    """Sheet of a workbook (.xlsx, .xls, .ods). Left out: the only one with rows."""
    columns: dict[str, str] = {}
    """Which column plays which role, for example {text: review, label: stars}."""
    no_label: tuple[str, ...] = ()
    """Values of the label's column that mean that a row has none, such as "-" or "?"; see `incomplete`."""
    max_length: int = Field(128, ge=4, le=8192)
    """Tokens kept of each text, in training and in measuring."""
    train_rows: int | None = Field(None, ge=8)
    """Train on so many rows only, drawn by the seed."""
    validation_fraction: float = Field(0.1, gt=0, lt=0.9)
    """Share of the training rows held out for validation."""
    test_fraction: float | None = Field(None, gt=0, lt=0.9)
    """Share of the training rows held out for the test, where no test file is given."""
    overlap: Literal["refuse", "allow", "drop"] = "refuse"
    """When test rows also stand in train or unlabelled: refuse to run, allow and report it, or drop them there."""
    incomplete: Literal["refuse", "drop"] = "refuse"
    """When rows lack a text or a label: refuse to run, or leave them out and report it."""
    metric: str = ""
    """The score that the report compares. Left out: the first that the task knows."""
    selecting: Selecting | None = None
    """A part of the training rows that takes the place of the test rows, which stay unread: as a search selects."""
    ADDED_LATER = frozenset({"encoding", "delimiter", "sheet", "no_label", "selecting"})

    @property
    def reading(self) -> Reading:
        """The options for reading files that do not show themselves how they are read."""
        return Reading(self.encoding, self.delimiter, self.sheet)

    @field_validator("encoding", "delimiter", mode="before")
    @classmethod
    def _reading_is_known(cls, value: Any, info: ValidationInfo) -> Any:
        return checked(str(info.field_name), value)

    @model_validator(mode="after")
    def _one_test(self) -> "TaskSpec":
        if self.test is not None and self.test_fraction is not None:
            raise ValueError("give 'test' or 'test_fraction', not both")
        return self


class Step(Model):
    """One use of a stage. All other keys are the stage's inputs and settings."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
    """What later steps and the report call it."""
    stage: Annotated[str, Field(max_length=100)]
    """The technique: the name of a file in compress/stages."""

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        return _folder_name(name)

    @property
    def settings(self) -> dict[str, Any]:
        """Inputs and settings as written, not yet validated."""
        return dict(self.model_extra or {})


def role_names(role: str, count: int) -> list[str]:
    """Names of the inputs of a role that takes several: `teacher`, `teacher 2`, and so on."""
    return [role if number == 0 else f"{role} {number + 1}" for number in range(count)]


def role_of(name: str) -> str:
    """The role of an input that is named as by `role_names`."""
    return name.partition(" ")[0]


def input_source(settings: Mapping[str, Any], name: str) -> str:
    """The source of an input in a step's settings, with the input's name from `role_names`."""
    role, _, number = name.partition(" ")
    value = settings[role]
    return str(value[int(number or 1) - 1] if isinstance(value, list | tuple) else value)


def replace_input(settings: dict[str, Any], name: str, value: str) -> None:
    """Write another source to the place that `input_source` reads."""
    role, _, number = name.partition(" ")
    if isinstance(settings.get(role), list):
        settings[role][int(number or 1) - 1] = value
    else:
        settings[role] = value


class Target(Model):
    """Where and how an artifact is measured."""

    TOPIC: ClassVar[str] = "The target: where a model runs"

    runtime: Annotated[str, KnownName(RUNTIMES)] = "onnxruntime"
    """What runs the model."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it runs."""
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    """Number format that torch, torch_compile and openvino compute in; an ONNX file brings its own elsewhere."""
    threads: int = Field(2, ge=1, le=1024)
    """Threads inside one operation."""
    batch_size: int = Field(1, ge=1, le=4096)
    """Rows in one call."""
    sequence_length: int = Field(128, ge=4, le=8192)
    """Tokens a row, for the latency at a fixed length; rows are also timed, and scored, at their own length."""

    @model_validator(mode="after")
    def _possible(self) -> "Target":
        if self.model_fields_set and (reason := import_module(RUNTIMES).refuse(self)) is not None:
            raise ValueError(reason)
        return self


class Goal(Model):
    """What the last artifact must reach against the baseline, on the first target that it runs on."""

    max_drop_pp: float | None = None
    """Largest loss of quality, in percentage points."""
    min_speedup: float | None = Field(None, gt=0)
    """Smallest ratio of the baseline's median latency to this one's: the model alone, at the fixed length."""
    min_end_to_end_speedup: float | None = Field(None, gt=0)
    """Smallest ratio of the baseline's time from text to answer to this one's: tokenizer and model together, on test
    rows of their own length."""
    max_size_mb: float | None = Field(None, gt=0)
    """Largest size on disk, in millions of bytes."""
    ADDED_LATER = frozenset({"min_end_to_end_speedup"})


class BenchSpec(Model):
    """How latency is sampled."""

    TOPIC: ClassVar[str] = "How latency is sampled"

    warmup: int = Field(10, ge=1)
    """Calls before the first sample, in each process."""
    rounds: int = Field(20, ge=1)
    """How often each artifact's turn comes, one artifact at a time."""
    processes: int = Field(CLAIM_PROCESSES, ge=1)
    """Fresh processes that each artifact's rounds are spread over; intervals come from how processes differ. Fewer than
    5 allow no verdict on speed, fewer than 3 no interval. No more are started than there are rounds; for 1 or 2
    rounds, one."""
    samples: int = Field(10, ge=1)
    """Timed calls in one turn: at the fixed length, at the rows' own lengths, and of the tokenizer."""
    max_call_s: float = Field(120, gt=0)
    """Seconds that one call may take, and loading a model five times as many: past that, its row fails."""
    ADDED_LATER = frozenset({"max_call_s"})

    @property
    def process_of_round(self) -> list[int]:
        """The number of the process that each round is measured in: about as many rounds in each."""
        processes = min(self.processes, self.rounds) if self.rounds >= FEWEST_PROCESSES else 1
        return [turn * processes // self.rounds for turn in range(self.rounds)]


class Search(Model):
    """The search for the smallest model that keeps the goal, made after the steps: the last of them is the teacher."""

    TOPIC = "The search"

    minimize: Literal["latency", "size"] = "latency"
    """What the winner has least of, among the models that keep the goal: latency, from text to answer, or size."""
    budget_minutes: float | None = Field(None, gt=0)
    """Minutes that the search may take. Left out: as long as it needs."""
    families: Annotated[tuple[Family, ...], Field(min_length=1)] | None = None
    """Kinds of models that are tried. Left out: all; narrow only where elastic cannot be."""
    finalists: int = Field(5, ge=1, le=5)
    """Models that are held against the goal on selecting rows, from the safest to the smallest."""
    folds: int | None = Field(None, ge=1, le=10)
    """Parts of the training rows that are selected on, each with models trained on the others. 1: a fifth of the rows.
    Left out: 3, or 1 for many rows."""


class Recipe(Model):
    """A chain of compression steps, its data, its targets and its goal."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """Name of the run; the report lands in runs/NAME."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of splits, initial weights and the order of rows."""
    task: TaskSpec
    """The data, and what is to be predicted from it."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    """The chain. A step reads the one before unless it names another."""
    targets: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)], Target] = {}
    """Where each artifact is measured, by name."""
    goal: Goal | None = None
    """What the last artifact must reach. Missed: exit code 3."""
    baseline: str | None = None
    """The step that speed and quality are compared with. Left out: the first finetune."""
    baselines: tuple[Annotated[str, KnownName(BASELINES)], ...] | Literal["none"] | None = None
    """Simple baselines that the report holds the steps against: their names, or none. Left out: all, where the answers
    are labels."""
    search: Search | None = None
    """Search for the smallest model that keeps the goal; see `compress shrink`."""
    bench: BenchSpec = BenchSpec()
    """How latency is sampled."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where training runs."""
    pins: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = {}
    """SHA-256 of each wheel that is not pinned built in, by dist==version."""
    trust_remote_code: bool = False
    """Run Python code that a model's folder brings along."""

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name.lower() in OWN_NAMES:
            raise ValueError("the folder of the store, which all runs share, has that name; choose another")
        return _folder_name(name)

    @field_validator("steps")
    @classmethod
    def _names_unique(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        names: dict[str, str] = {}
        for step in steps:
            before = names.get(step.name.lower())
            if before == step.name:
                raise ValueError(f"two steps are named '{step.name}'")
            if before is not None:
                raise ValueError(f"two steps are named '{before}' and '{step.name}', one name to some file systems")
            if step.name in cls.model_fields:
                raise ValueError(f"a step may not be named '{step.name}': the recipe has a key of that name")
            names[step.name.lower()] = step.name
        return steps
