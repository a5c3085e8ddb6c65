"""Recipes with something changed: in their structure, or in their bytes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from hypothesis import strategies as st

from benchmarks.faults.mutant_bytes import BYTES, Draw

Item = TypeVar("Item")
TAGS = (
    *("!!python/object/apply:os.system", "!!binary", "!!set", "!!omap", "!!timestamp", "!!float", "!!int", "!!bool"),
    *("!!str", "!!null", "!!merge", "!mine"),
)
WORDS = (
    *("-1", "0", "1", "3.5", "1e400", "-1e400", "1e-400", "1.0e-3", ".nan", ".inf", "-.inf", "0x10", "0o17", "1:30"),
    *("99999999999999999999999999", "-99999999999999999999999999", "1_000", "true", "no", "null", "~", "''", "' '"),
    *("[]", "{}", "[1]", "[[]]", "{a: 1}", "[null]", "2024-02-30", "2024-02-28", "=", "0.5", "'0.5'", "'3'"),
    *("teacher", "int8", "finetune", "export_onnx", "quantize_bnb", "no_such_stage", "onnx", "model", "train.csv"),
    *("../train.csv", "/dev/null", ".", "/", "hf://no/such@main", "hf://", "pypi://none==1.0/a", "pypi://", "a://b"),
)
"""Plain YAML values to stand in the place of others."""
NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    64,
    128,
    129,
    1000,
    2**31,
    2**32,
    2**63,
    2**64,
    -1,
    -2,
    0.0,
    0.5,
    0.999,
    1.0,
    2.0,
    1.5,
    -0.5,
    1e-9,
)
TEXTS = (
    "\N{PILE OF POO}",
    "\u202ename",
    "a\u0301\u0301\u0301",
    "\u200b",
    "\ud800",
    "\x7f",
    "\x1b[31mred",
    "a\nb",
    "x" * 5000,
)
"""Text that no name is made of; one of them is half a character, another one colours a terminal."""
KEYS = (
    "steps",
    "name",
    "stage",
    "model",
    "epochs",
    "epoch",
    "Epochs",
    "seed ",
    "learning-rate",
    "\N{CYRILLIC SMALL LETTER ER}rune",
    "",
    "<<",
    "layers",
)
"""Keys to be written in the place of others, or beside them; one has a Cyrillic letter."""


@dataclass(frozen=True)
class Mutant:
    """Changed content, with what it was made of and how."""

    base: str
    changes: tuple[str, ...]
    content: bytes
    ending: str = ".yaml"
    part: str = ""


@st.composite
def recipe_mutants(draw: Draw, bases: Mapping[str, str]) -> Mutant:
    """One of the recipes with one to three changes of its structure, or with changed bytes, or with both."""
    base = draw(st.sampled_from(sorted(bases)))
    text, changes = bases[base], []
    kind = draw(st.sampled_from(("structure", "structure", "structure", "bytes", "both")))
    if kind != "bytes":
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        assert root is not None
        for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
            changes.append(draw(st.sampled_from(STRUCTURE))(draw, root))
        text = yaml.serialize(root, allow_unicode=True, width=100)
    content = text.encode("utf-8", "surrogatepass")
    if kind != "structure":
        content, told = draw(st.sampled_from(BYTES))(draw, content)
        changes.append(told)
    return Mutant(base, tuple(changes), content)


def _walk(node: yaml.Node, seen: set[int] | None = None) -> Iterator[yaml.Node]:
    """All nodes, each once, the root first."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _walk(key, seen)
            yield from _walk(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _walk(child, seen)


def _mapping(draw: Draw, root: yaml.Node) -> yaml.MappingNode:
    found = [node for node in _walk(root) if isinstance(node, yaml.MappingNode) and node.value]
    return _pick(draw, found or [yaml.MappingNode("tag:yaml.org,2002:map", [(_scalar("a"), _scalar("b"))])])


def _pick(draw: Draw, found: list[Item]) -> Item:
    return found[draw(st.integers(0, len(found) - 1))]


def _scalar(text: str) -> yaml.Node:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text)


def _plain(word: str) -> yaml.Node:
    node = yaml.compose(word, Loader=yaml.SafeLoader)
    return node if node is not None else _scalar(word)


def _slot(draw: Draw, root: yaml.Node) -> tuple[list[Any], int, str]:
    """A place of a value: the list that holds it, its index, and what it is called."""
    mapping = _mapping(draw, root)
    index = draw(st.integers(0, len(mapping.value) - 1))
    return mapping.value, index, str(mapping.value[index][0].value)


def _put(slot: tuple[list[Any], int, str], value: yaml.Node) -> None:
    pairs, index, _ = slot
    key, _old = pairs[index]
    pairs[index] = (key, value)


def _drop(draw: Draw, root: yaml.Node) -> str:
    pairs, index, name = _slot(draw, root)
    del pairs[index]
    return f"drop {name}"


def _rename(draw: Draw, root: yaml.Node) -> str:
    pairs, index, name = _slot(draw, root)
    new = draw(st.sampled_from((*KEYS, *TEXTS, name.upper(), name[:-1], f"{name}_", f" {name}")))
    pairs[index] = (_scalar(new), pairs[index][1])
    return f"rename {name} to {new[:20]!r}"


def _repeat(draw: Draw, root: yaml.Node) -> str:
    pairs, index, name = _slot(draw, root)
    pairs.append(pairs[index])
    return f"repeat {name}"


def _add(draw: Draw, root: yaml.Node) -> str:
    mapping = _mapping(draw, root)
    key, word = draw(st.sampled_from((*KEYS, *TEXTS))), draw(st.sampled_from(WORDS))
    mapping.value.append((_scalar(key), _plain(word)))
    return f"add {key[:20]!r}: {word}"


def _reorder(draw: Draw, root: yaml.Node) -> str:
    found = [node for node in _walk(root) if not isinstance(node, yaml.ScalarNode) and len(node.value) > 1]
    if not found:
        return "reorder nothing"
    node = _pick(draw, found)
    node.value = draw(st.permutations(node.value))
    return "reorder"


def _replace(draw: Draw, root: yaml.Node) -> str:
    slot = _slot(draw, root)
    word = draw(st.sampled_from(WORDS))
    _put(slot, _plain(word))
    return f"{slot[2]}: {word}"


def _number(draw: Draw, root: yaml.Node) -> str:
    """Another number in the place of one."""
    numbers = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    found = [node for node in _walk(root) if isinstance(node, yaml.ScalarNode) and node.tag in numbers]
    if not found:
        return "no number"
    node, number = _pick(draw, found), draw(st.sampled_from(NUMBERS))
    old, node.value = node.value, str(number)
    node.tag = numbers[isinstance(number, float)]
    return f"{old} to {number}"


def _write_text(draw: Draw, root: yaml.Node) -> str:
    slot = _slot(draw, root)
    text = draw(st.sampled_from(TEXTS))
    _put(slot, yaml.ScalarNode("tag:yaml.org,2002:str", text, style='"'))
    return f"{slot[2]}: {text[:20]!r}"


def _share(draw: Draw, root: yaml.Node) -> str:
    """A value stands in the place of another one, as an alias of it; it may even hold itself."""
    slot = _slot(draw, root)
    _put(slot, _pick(draw, list(_walk(root))))
    return f"{slot[2]}: alias"


def _merge(draw: Draw, root: yaml.Node) -> str:
    mapping = _mapping(draw, root)
    key = yaml.ScalarNode("tag:yaml.org,2002:merge", "<<")
    mapping.value.append((key, _pick(draw, list(_walk(root)))))
    return "merge"


def _nest(draw: Draw, root: yaml.Node) -> str:
    slot = _slot(draw, root)
    depth = draw(st.integers(1, 60))
    value = slot[0][slot[1]][1]
    for _ in range(depth):
        value = yaml.SequenceNode("tag:yaml.org,2002:seq", [value])
    _put(slot, value)
    return f"{slot[2]}: nested {depth} deep"


def _tag(draw: Draw, root: yaml.Node) -> str:
    slot = _slot(draw, root)
    value = slot[0][slot[1]][1]
    tag = draw(st.sampled_from(TAGS)).replace("!!", "tag:yaml.org,2002:")
    _put(slot, type(value)(tag, value.value))
    return f"{slot[2]}: {tag.rpartition(':')[2]}"


STRUCTURE = (
    *(_drop, _rename, _repeat, _add, _reorder, _reorder, _replace, _replace, _number, _number, _number),
    *(_write_text, _share, _merge, _nest, _tag),
)
