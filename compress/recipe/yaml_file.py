"""The YAML of a recipe: read safely and within limits, with the line of every key, and with overrides."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from compress.errors import InputError
from compress.recipe.overrides import RolesOf, leave_old_data, override, remarks_on, split_override, where_of
from compress.recipe.schema import Recipe
from compress.recipe.validation import KeyPath, Origin, validate

MAX_BYTES = 1_000_000
MAX_ALIASES = 100
MAX_VALUES = 100_000
MAX_DEPTH = 20
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Control characters, line ends of Unicode, and characters that hide or reverse the text next to them."""
MAX_DIGITS = 1_000
"""Most digits of a whole number: Python refuses to write numbers of several thousand digits."""


def _no_roles(_: str) -> tuple[str, ...]:
    return ()


def load_recipe(path: Path, overrides: Sequence[str] = (), roles_of: RolesOf = _no_roles) -> tuple[Recipe, Origin]:
    """Read, override and validate a recipe.

    Args:
        path: a YAML file.
        overrides: `a.b=value` each; the first part is a step's name or a key of the recipe.
        roles_of: the keys of a stage's steps that name a model; an override's path there starts in the current folder.

    Raises:
        InputError: the file is missing, not a plain file or a shell's pipe, too large, not YAML, or not a recipe.
    """
    if path.exists() and not path.is_file() and not path.is_dir() and path.parent != Path("/dev/fd"):
        raise InputError(  # reading might never end, or never begin
            "the recipe is no plain file", where=str(path), fix="give the file itself, or <(COMMAND) in a shell"
        )
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"cannot read the recipe: {error.strerror}",
            where=str(path),
            fix="`compress recipes` lists the shipped ones, `compress init` writes one",
        ) from error
    return read_recipe(raw, path, overrides, roles_of)


def read_recipe(
    raw: bytes, path: Path, overrides: Sequence[str] = (), roles_of: RolesOf = _no_roles
) -> tuple[Recipe, Origin]:
    """A recipe from the content of a file, as in `load_recipe`."""
    data, lines = parse_yaml(raw, str(path))
    if not isinstance(data, dict):
        raise InputError(
            "a recipe is a mapping with the keys name, task and steps",
            where=str(path),
            fix="start from `compress init`",
        )
    changed, remarks = _apply(data, overrides, roles_of)
    origin = Origin(str(path), lines, path.parent, changed, tuple(remarks))
    return validate(Recipe, data, origin), origin


def recipe_from(
    data: Mapping[str, Any], overrides: Sequence[str] = (), roles_of: RolesOf = _no_roles
) -> tuple[Recipe, Origin]:
    """A recipe from data in a program, as in `load_recipe`; its relative paths start in the current folder."""
    own = deepcopy(dict(data))
    changed, remarks = _apply(own, overrides, roles_of)
    origin = Origin("the recipe", overrides=changed, remarks=tuple(remarks))
    return validate(Recipe, own, origin), origin


def _apply(data: dict[str, Any], overrides: Sequence[str], roles_of: RolesOf) -> tuple[dict[KeyPath, str], list[str]]:
    """Change `data` in place; return the override of each changed place, and remarks for the user."""
    changed: dict[KeyPath, str] = {}
    remarks: list[str] = []
    split = [(text, *split_override(text)) for text in overrides]
    values = [(text, parts, parse_value(value, where_of(text))) for text, parts, value in split]
    for text, parts, value in values:
        if parts == ["task", "train"]:
            keys_left_out = leave_old_data(data, value)
            remarks += remarks_on(keys_left_out, data.get("name"))
            changed |= {("task", key): text for key in keys_left_out}
    values.sort(
        key=lambda item: item[1][1:] != ["stage"]
    )  # the stages first, because a step's stage decides which keys name models
    changed |= {override(data, parts, value, where_of(text), roles_of): text for text, parts, value in values}
    return changed, remarks


def parse_yaml(raw: bytes, name: str) -> tuple[Any, dict[KeyPath, int]]:
    """The plain data of safe YAML, with the 1-based line of every key.

    Size, depth and aliases are limited, so that a small file cannot become huge.

    Raises:
        InputError: the file is too large, too deep, not UTF-8 or not YAML, repeats a key, or has too many aliases.
    """
    try:
        node = _compose(raw.decode("utf-8"), "the recipe", name)
    except UnicodeDecodeError as error:
        raise InputError("the recipe is not UTF-8 text", where=name, fix="save it as UTF-8") from error
    if node is None:
        raise InputError("the recipe is empty", where=name, fix="start from `compress init`")
    lines: dict[KeyPath, int] = {}
    return _construct(node, lines, "the recipe", name), lines


def parse_value(text: str, where: str) -> Any:
    """A YAML value from the command line, with the same limits as a recipe; None for an empty text.

    Raises:
        InputError: the text is not YAML, or exceeds the limits.
    """
    node = _compose(text, "the value", where)
    return None if node is None else _construct(node, {}, "the value", where)


def dump_yaml(data: Any, *, flow: bool = False) -> str:
    """YAML that `parse_yaml` reads back to the same data, without hidden characters.

    PyYAML does not escape line ends of Unicode and characters that reverse text; here they are escaped.

    Args:
        flow: whether all is on one line: `{a: 1, b: [2, 3]}`.
    """
    width = 10_000_000 if flow else 110
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width, default_flow_style=flow)
    return "\n".join(_UNSEEN.sub(_escape, line) for line in text.split("\n"))


class _Dumper(yaml.SafeDumper):
    """A dumper that puts texts with hidden characters between double quotes, where they can be escaped."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(_UNSEEN.search(line) for line in text.split("\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"


def _compose(text: str, what: str, name: str) -> yaml.Node | None:
    """The only document of `text` as a node."""
    if len(text) > MAX_BYTES:
        raise InputError(
            f"{what} is longer than the {MAX_BYTES:,} characters that are read",
            where=name,
            fix="give YAML that a person wrote, not data",
        )
    with _errors_for_people(name):
        aliases = depth = 0
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            aliases += isinstance(token, yaml.AliasToken)
            depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
            if aliases > MAX_ALIASES:
                raise InputError(
                    f"{what} has more than {MAX_ALIASES} YAML aliases",
                    where=name,
                    fix="write the repeated parts out",
                )
            if depth > MAX_DEPTH:
                raise _too_deep(what, name)
        return yaml.SafeLoader(text).get_single_node()


_OPENING = (
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)


def _construct(node: yaml.Node, lines: dict[KeyPath, int], what: str, name: str) -> Any:
    """The plain data of a node within the limits; `lines` is filled."""
    _collect_lines(node, (), lines, what, name)
    with _errors_for_people(name):
        return yaml.SafeLoader("").construct_document(node)


@contextmanager
def _errors_for_people(name: str) -> Iterator[None]:
    """A context in which errors of PyYAML become errors for a person."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = name if mark is None or name.startswith("--") else f"{name}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or "not YAML"
        raise InputError(
            f"cannot read the YAML: {problem}",
            where=place,
            fix="check the indentation and the quotes there",
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read the YAML: {error}", where=name, fix="write the value as plain text in quotes"
        ) from error
    except (AttributeError, LookupError) as error:  # values at which PyYAML's own constructors fail
        raise InputError(
            "cannot read the YAML: a value does not fit its tag",
            where=name,
            fix="leave out tags such as !!int, !!bool and !!timestamp",
        ) from error


def _too_deep(what: str, name: str) -> InputError:
    return InputError(f"{what} is nested more than {MAX_DEPTH} deep", where=name, fix="flatten it")


def _collect_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], what: str, name: str) -> None:
    if len(path) > MAX_DEPTH:
        raise _too_deep(what, name)
    if len(lines) > MAX_VALUES:
        raise InputError(
            f"{what} has more than {MAX_VALUES:,} values, those of its YAML aliases counted",
            where=name,
            fix="write a recipe, not data",
        )
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if isinstance(node, yaml.MappingNode):
        keys: set[Hashable] = set()
        for key_node, value_node in node.value:
            key = key_node.value
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise InputError("a key must be plain text", where=f"{name}:{line}", fix="write key: value")
            if key in keys:
                raise InputError(
                    f"the key '{key:.80}' stands twice", where=f"{name}:{line}", fix="remove one of the two"
                )
            keys.add(key)
            lines[(*path, key)] = line
            _collect_lines(value_node, (*path, key), lines, what, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _collect_lines(child, (*path, index), lines, what, name)
    elif node.tag == "tag:yaml.org,2002:int" and len(node.value) > MAX_DIGITS:
        raise InputError(
            f"a whole number of {len(node.value):,} digits", where=f"{name}:{line}", fix="write a smaller one"
        )
