"""Tokenizers that grow a text without bounds, search for ever, or are not what they say.

Each is the small run's tokenizer with a part changed. Whatever `plan`, `bench` and `doctor` do with it, they must say
which file it is, and neither hang nor fill the memory.
"""

import base64
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.cases import Case, Check, refused, small_run
from benchmarks.faults.hostile_graphs import LIMIT, PLAIN, QUICK, write_graph
from benchmarks.faults.small_run import Ended

Change = Callable[[dict[str, Any]], None]
GROWS, TRIED, ADDS = "times as long", "tried in a process of its own", "tokens to each text"


def replaced(pattern: str, content: str, times: int, kind: str = "String") -> dict[str, Any]:
    """A normaliser that replaces so many times."""
    part = {"type": "Replace", "pattern": {kind: pattern}, "content": content}
    return {"type": "Sequence", "normalizers": [part] * times}


def put(**parts: Any) -> Change:
    """Other parts in place of the tokenizer's own."""
    return lambda said: said.update(parts)


def in_model(**settings: Any) -> Change:
    """Other settings of its model."""
    return lambda said: said["model"].update(settings)


def template(single: Sequence[Any], ids: int = 1) -> dict[str, Any]:
    """Post-processing with such a template, of one special token with so many ids."""
    special = {"[CLS]": {"id": "[CLS]", "ids": [2] * ids, "tokens": ["[CLS]"] * ids}}
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": list(single), "pair": pair, "special_tokens": special}


CLS, TEXT = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}


def split(regex: str) -> dict[str, Any]:
    """A pre-tokenizer that looks for a pattern."""
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def charsmap(grown: int) -> str:
    """sentencepiece's table of letters, with a string so long in it."""
    trie = b"\0" * 1024
    return base64.b64encode(len(trie).to_bytes(4, "little") + trie + b"a" * grown + b"\0").decode()


def _giant_vocabulary(said: dict[str, Any]) -> None:
    said["model"]["vocab"] |= {"x" * 1_000_000 + str(number): 100 + number for number in range(20)}


def _giant_added(said: dict[str, Any]) -> None:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    said["added_tokens"] += [{"id": 200 + n, "content": "a" * 1000 + str(n), **flags} for n in range(200)]
    said["normalizer"] = replaced("a", "aa", 9)


def write_model(folder: Path, change: Change) -> Path:
    """The small run's model with a changed tokenizer."""
    shutil.copytree(small_run() / "model", folder)
    return changed(folder, change)


def changed(folder: Path, change: Change) -> Path:
    """A model's folder, its tokenizer changed."""
    path = folder / "tokenizer.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    change(said)
    path.write_text(json.dumps(said), encoding="utf-8")
    return folder


def with_rows(folder: Path, word: str) -> None:
    """Train and test rows, one of them a word of 3,000 letters."""
    for name in ("train.csv", "test.csv"):
        text = (small_run() / name).read_text(encoding="utf-8")
        (folder / name).write_text(f"{text}{word * 3000},good\n", encoding="utf-8")


def planned(name: str, change: Change, check: Check, word: str = "a") -> Case:
    """A tokenizer that a recipe's first step takes."""

    def prepare(folder: Path) -> list[str]:
        write_model(folder / "model", change)
        with_rows(folder, word)
        shutil.copyfile(small_run() / "small.yaml", folder / "small.yaml")
        return ["plan", "small.yaml", "--no-forecast"]

    return Case(f"{name}, plan", "tokenizer", prepare, check)


def benched(name: str, change: Change, *words: str) -> Case:
    """A tokenizer that a graph is measured with."""

    def prepare(folder: Path) -> list[str]:
        changed(write_graph(folder / "hostile", PLAIN), change)
        write_graph(folder / "well", PLAIN)
        with_rows(folder, "a")
        return ["bench", "well", "hostile", "--data", "test.csv", *QUICK, *LIMIT]

    def wrong(folder: Path, ended: Ended) -> str | None:
        measured = next((line for line in ended.stdout.splitlines() if line.split()[:1] == ["well"]), "")
        return refused("'hostile' on", "tokenizer", *words, code=1)(folder, ended) or (
            None if "%" in measured else "the model beside it was not measured"
        )

    return Case(f"{name}, bench", "tokenizer", prepare, wrong)


def examined(name: str, change: Change, *words: str) -> Case:
    """A tokenizer that rows are counted with."""

    def prepare(folder: Path) -> list[str]:
        changed(write_graph(folder / "hostile", PLAIN), change)
        with_rows(folder, "a")
        return ["doctor", "hostile", "--data", "test.csv", "--threads", "1"]

    return Case(f"{name}, doctor", "tokenizer", prepare, refused(*words))


DOUBLES = put(normalizer=replaced("a", "aa", 40))
EXPONENTIAL = put(pre_tokenizer=split(r"(?:a|a|aa)+(?:b|c)$"))
CASES = [
    planned("doubles the text", DOUBLES, refused("tokenizer", GROWS)),
    benched("doubles the text", DOUBLES, GROWS),
    examined("doubles the text", DOUBLES, GROWS),
    planned("a thousand letters for one", put(normalizer=replaced("a", "b" * 1000, 2)), refused("tokenizer", GROWS)),
    planned("between all letters", put(normalizer=replaced("", "x" * 99, 3, "Regex")), refused("tokenizer", GROWS)),
    planned(
        "bytes of bytes",
        put(
            pre_tokenizer={
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
                ]
                * 30,
            }
        ),
        refused("tokenizer", GROWS),
    ),
    planned(
        "a table that lies",
        put(normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap(10**6)}),
        refused("tokenizer", GROWS),
    ),
    planned("added tokens that grow", _giant_added, refused("tokenizer")),
    planned("a pattern that never ends", EXPONENTIAL, refused("tokenizer")),
    planned(
        "a pattern that never ends, replaced",
        put(normalizer=replaced(r"(?:a|a|aa)+(?:b|c)$", "a", 1, "Regex")),
        refused("tokenizer"),
    ),
    benched("a pattern that never ends", EXPONENTIAL, "tokenizer"),
    planned(
        "a million tokens before each text",
        put(post_processor=template([CLS, TEXT], 10**6)),
        refused("tokenizer", ADDS),
    ),
    planned("the text a thousand times", put(post_processor=template([TEXT] * 1000)), refused("tokenizer", ADDS)),
    planned(
        "a prefix of a megabyte", in_model(continuing_subword_prefix="#" * 10**6), refused("continuing_subword_prefix")
    ),
    planned(
        "a normaliser below normalisers",
        put(normalizer=json.loads('{"type": "Sequence", "normalizers": [' * 400 + "]}" * 400)),
        refused("tokenizer.json"),
    ),
    planned("of no known kind", put(normalizer={"type": "Exfiltrate"}), refused("tokenizer.json")),
    planned("a giant vocabulary", _giant_vocabulary, refused("tokens beyond the model's table", "20 in all")),
]
