"""Recipes with something changed: in their structure, or in their bytes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from hypothesis import strategies as st

Draw = st.DrawFn
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
PIECES = (
    *("\t", "\0", "\x85", "\u2028", "\ufeff", ":", ": ", "- ", "-", "&a ", "*a", "<<: *a\n", "%YAML 9.9\n---\n"),
    *("...\n", "---\n", '"', "'", "{", "}", "[", "]", "# ", "| ", "> ", "!", "!!", "? ", "@", "`", "\r", "\n", "  "),
)
"""What is put somewhere between the bytes."""
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
"""A few lines that grow to millions of values where aliases are followed blindly."""
ENCODINGS = ("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "latin-1", "cp500")


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
        for _ in range(draw(st.integers(1, 3))):
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


STRUCTURE = (_drop, _rename, _repeat, _add, _reorder, _replace, _replace, _write_text, _share, _merge, _nest, _tag)


def place_in(draw: Draw, content: bytes) -> int:
    """A position between the bytes."""
    return draw(st.integers(0, len(content)))


def truncate(draw: Draw, content: bytes) -> tuple[bytes, str]:
    """The bytes up to somewhere."""
    end = place_in(draw, content)
    return content[:end], f"{end} bytes left"


def flip_bit(draw: Draw, content: bytes) -> tuple[bytes, str]:
    """The bytes with one bit of them changed."""
    if not content:
        return content, "nothing to flip"
    position, bit = place_in(draw, content[:-1]), draw(st.integers(0, 7))
    return content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :], f"bit {position}.{bit}"


def _insert(draw: Draw, content: bytes) -> tuple[bytes, str]:
    piece, position = draw(st.sampled_from(PIECES)), place_in(draw, content)
    return content[:position] + piece.encode() + content[position:], f"insert {piece!r}"


def _cut_out(draw: Draw, content: bytes) -> tuple[bytes, str]:
    begin, length = place_in(draw, content), draw(st.integers(1, 30))
    return content[:begin] + content[begin + length :], "cut out"


def _move_lines(draw: Draw, content: bytes) -> tuple[bytes, str]:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return content, "no lines to move"
    line = lines[draw(st.integers(0, len(lines) - 1))]
    lines.insert(draw(st.integers(0, len(lines))), line)
    return b"".join(lines), "a line twice"


def _encode(draw: Draw, content: bytes) -> tuple[bytes, str]:
    encoding = draw(st.sampled_from(ENCODINGS))
    return content.decode("utf-8", "replace").encode(encoding, "replace"), encoding


def _odd(draw: Draw, content: bytes) -> tuple[bytes, str]:
    deep = draw(st.sampled_from((30, 500, 2000, 50_000)))
    odd = {
        "empty": b"",
        "a comment alone": b"# nothing\n",
        "a list": b"- a\n- b\n",
        "a word": b"word",
        "windows line ends": content.replace(b"\n", b"\r\n"),
        "old line ends": content.replace(b"\n", b"\r"),
        "bytes that are no text": content + b"\xff\xfe\xff",
        "laughs": content + LAUGHS.encode(),
        f"{deep} brackets": content + b"pins: " + b"[" * deep + b"]" * deep,
        f"{deep} braces": content + b"pins: " + b"{a: " * deep + b"}" * deep,
        "two documents": content + b"\n---\n" + content,
        "a recipe of 2 MB": content + b"#" * 2_000_000,
    }
    name = draw(st.sampled_from(sorted(odd)))
    return odd[name], name


BYTES = (truncate, flip_bit, _insert, _insert, _cut_out, _move_lines, _encode, _odd, _odd)
