"""A recipe's YAML: read safely and within bounds, with the line of every key, and overridden from outside."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from compress.errors import InputError, did_you_mean
from compress.recipe import Recipe
from compress.validation import KeyPath, Origin, validate

MAX_BYTES = 1_000_000
MAX_ALIASES = 100
MAX_VALUES = 100_000


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
                f"'{part}' holds {place[part]!r:.60}, which has no '{parts[-1]}' inside",
                where=where,
                fix="name the step: --set teacher.epochs=1" if part == "steps" else "override the whole value",
            )
    place[parts[-1]] = value
    return changed
