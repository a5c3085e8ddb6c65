"""Validation of outside input: all problems at once, each with its line and the nearest right name."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from compress.errors import InputError, did_you_mean, nearest
from compress.recipe.schema import Model

KeyPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """The origin of a recipe, so that an error can name the file and the line."""

    path: str = "the command line"
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    folder: Path = Path()
    """Relative paths in the recipe start here."""
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)
    """Place in the recipe -> the `--set` that changed it."""
    remarks: tuple[str, ...] = ()
    """Remarks for the user on these changes."""

    def where(self, *keys: str | int) -> str:
        """The override that changed `keys`, or the `path:line` of their deepest part in the file."""
        for depth in range(len(keys), 0, -1):
            if keys[:depth] in self.overrides:
                return f"--set {self.overrides[keys[:depth]]}"
        for depth in range(len(keys), 0, -1):
            line = self.lines.get(keys[:depth])
            if line is not None:
                return f"{self.path}:{line}"
        return self.path


def validate(
    model: type[Model],
    data: Mapping[str, Any],
    origin: Origin,
    prefix: KeyPath = (),
    label: str = "the recipe",
    also_known: tuple[str, ...] = (),
) -> Any:
    """The `model` made from `data`; all errors are reported at once, each with its line and the nearest right name.

    Args:
        prefix: the place of `data` in the recipe.
        label: the name of the data in errors.
        also_known: further accepted names besides the model's fields, for suggestions.

    Raises:
        InputError: `data` does not fit.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        by_place: dict[KeyPath, list[Any]] = {}
        for problem in error.errors():
            by_place.setdefault(_place(data, problem["loc"]), []).append(problem)
        problems = [
            _describe(place, same, model, origin, prefix, also_known)
            for place, same in by_place.items()
            if not (same[0]["type"] == "too_short" and same[0]["input"])  # its items are wrong, and are reported
        ]
        what, where, fix = problems[0]
        if len(problems) > 1:
            more = "; ".join(f"{w} ({place})" for w, place, _ in problems[1:4])
            rest = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
            what = f"{what}; also: {more}{rest}"
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
"""pydantic's types of problems in the words of YAML; pydantic's own words are good for all others."""


_QUOTES = 'put it in quotes if it is a name: "1", "on", "null"'
"""The fix for a name, such as a column's, that YAML reads as a number, as true or false, or as nothing."""


def _describe(
    place: KeyPath,
    problems: Sequence[Any],
    model: type[Model],
    origin: Origin,
    prefix: KeyPath,
    also_known: tuple[str, ...],
) -> tuple[str, str, str]:
    """(what, where, fix) of all problems of one place; a union may give several."""
    where = origin.where(*prefix, *place)
    dotted = ".".join(f"{part!s:.80}" for part in place)
    kind = problems[0]["type"]
    if kind == "extra_forbidden":
        owner = _model_at(model, place[:-1])
        names = [*(owner.model_fields if owner else ()), *(also_known if len(place) == 1 else ())]
        return f"unknown key '{dotted}'", where, did_you_mean(str(place[-1]), names)
    if kind == "missing":
        return f"the key '{dotted}' is missing", where, f"add '{place[-1]}:'"
    value = problems[0].get("input")
    messages = [_NEEDED.get(problem["type"], problem["msg"].removeprefix("Value error, ")) for problem in problems]
    if isinstance(value, float) and not math.isfinite(value):
        messages = ["a finite number is needed"]
    message = ", or ".join(dict.fromkeys(f"{text[:1].lower()}{text[1:]}" for text in messages))
    if not dotted:
        return message, where, "correct the values there"
    needs_quotes = kind == "string_type" and isinstance(value, bool | int | float | None)
    fix = _QUOTES if needs_quotes else "correct the value there"
    if value is None:
        fix = f"write a value there{', or ' + _QUOTES if needs_quotes else ''}"
        return f"'{dotted}' is empty: {message}", where, fix
    choices = [name for problem in problems for name in _choices(problem)]
    if isinstance(value, str) and nearest(value[:80], choices) is not None:
        fix = did_you_mean(value[:80], choices)
    in_words = f" is {value!r:.80}" if isinstance(value, str | int | float) else ""
    return f"'{dotted}'{in_words}: {message}", where, fix


def _choices(problem: Any) -> list[str]:
    """The texts that a field accepts, if it accepts only a few."""
    return re.findall("'([^']*)'", problem["ctx"]["expected"]) if problem["type"] == "literal_error" else []


def _model_at(model: type[BaseModel], location: KeyPath) -> type[BaseModel] | None:
    """The model that the keys of `location` lead to, through tuples, dicts and optional fields."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[str(part)].annotation
        current = next((candidate for candidate in _models_in(current)), None)
        if current is None:
            return None
    return current if isinstance(current, type) else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
