"""Changes of a recipe by `--set`: one value each; their relative paths start in the current folder."""

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from compress.errors import InputError, did_you_mean
from compress.recipe.schema import TABLES, Recipe
from compress.recipe.validation import KeyPath

RolesOf = Callable[[str], Collection[str]]
"""A function of a stage's name -> the keys of its steps that name a model, or the step that makes it."""

OF_THE_DATA = (
    *(table for table in TABLES if table != "train"),
    "encoding",
    "delimiter",
    "sheet",
    "columns",
    "no_label",
    "train_rows",
    "test_fraction",
    "validation_fraction",
    "overlap",
    "incomplete",
)
"""Keys of a task that hold for its own data only."""


def split_override(override: str) -> tuple[list[str], str]:
    """The keys and the text of `a.b=value`.

    Raises:
        InputError: the override has another form.
    """
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InputError(
            "an override is written a.b=value", where=where_of(override), fix="for example --set prune.ffn=0.3"
        )
    return parts, text


def where_of(override: str) -> str:
    """The name of an override in an error."""
    return f"--set {override:.200}"


def leave_old_data(data: dict[str, Any], train: Any) -> list[str]:
    """Remove from a recipe what belongs to its own data, if other training rows are read.

    A recipe for rows of a wheel or of the hub names their test rows, their columns, and how their duplicates are
    treated. A recipe for a file keeps these keys: another file is expected to have rows of the same kind.

    Args:
        data: the recipe's content, changed in place.
        train: the new training rows.

    Returns:
        The keys of the task that were removed.
    """
    task = data.get("task")
    if not isinstance(task, dict) or not _is_other_data(task.get("train"), train):
        return []
    data["task"] = {key: deepcopy(value) for key, value in task.items() if key not in OF_THE_DATA}
    return [key for key in task if key in OF_THE_DATA]


def _is_other_data(old: Any, new: Any) -> bool:
    """Whether rows of a wheel or of the hub are replaced by those of another file, wheel or data set."""
    if not isinstance(old, str) or "://" not in old:
        return False
    if old.startswith("hf://") and isinstance(new, str):
        return _hub_name(old) != _hub_name(new)
    return bool(old != new)


def _hub_name(source: str) -> str:
    return source.partition("?")[0].partition("@")[0]


def remarks_on(keys_left_out: Sequence[str], name: Any) -> list[str]:
    """The remarks for the user on keys that were removed."""
    if not keys_left_out:
        return []
    keys = ", ".join(f"task.{key}" for key in keys_left_out)
    return [
        f"the training rows are not the recipe's own, so {keys} of the recipe do not count; "
        f"the run is still called '{name}' (--set name=…)"
    ]


def override(data: dict[str, Any], parts: Sequence[str], value: Any, where: str, roles_of: RolesOf) -> KeyPath:
    """Change one value of a recipe in place, and return its place.

    Args:
        parts: the keys; the first is a step's name or a key of the recipe.

    Raises:
        InputError: there is no such part.
    """
    steps = _steps_by_name(data)
    first, rest = parts[0], list(parts[1:])
    if first not in steps and first not in Recipe.model_fields:
        raise InputError(
            f"'{first}' is neither a step nor a key of the recipe",
            where=where,
            fix=did_you_mean(first, [*steps, *Recipe.model_fields]),
        )
    if first in steps and not rest:
        raise InputError(
            "an override of a step names one of its settings", where=where, fix=f"for example {first}.epochs=1"
        )
    place: Any = data
    changed: KeyPath = tuple(parts)
    if first in steps:
        changed = ("steps", steps[first], *rest)
        place, keys = data["steps"][steps[first]], rest
        is_source = len(rest) == 1 and rest[0] in roles_of(str(place.get("stage")))
    else:
        keys = list(parts)
        is_source = len(parts) == 2 and first == "task" and rest[0] in TABLES
    for part in keys[:-1]:
        if isinstance(place.get(part), dict) or part not in place:
            place[part] = dict(place.get(part, {}))  # an alias elsewhere may hold the same mapping
            place = place[part]
        else:
            raise InputError(
                f"'{part}' holds {place[part]!r:.60}, which has no '{keys[-1]}' inside",
                where=where,
                fix="name the step: --set teacher.epochs=1" if part == "steps" else "override the whole value",
            )
    place[keys[-1]] = _from_here(value, steps) if is_source else value
    return changed


def _steps_by_name(data: Mapping[str, Any]) -> dict[str, int]:
    steps = data.get("steps")
    return {
        str(step["name"]): index
        for index, step in enumerate(steps if isinstance(steps, list) else [])
        if isinstance(step, dict) and "name" in step
    }


def _from_here(value: Any, steps: Mapping[str, int]) -> Any:
    """A source with its relative path resolved from the current folder, as the shell's completion writes it."""
    if isinstance(value, list):
        return [_from_here(item, steps) for item in value]
    if not isinstance(value, str) or not value or "://" in value or value in steps:
        return value
    return str(Path(value).expanduser().absolute())
