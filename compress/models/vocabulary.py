"""Tokens removed from a tokenizer: any text still tokenizes, and texts of kept tokens as before.

It works on the content of a tokenizer.json (WordPiece, BPE, Unigram). The kept tokens stay in order and get new ids
without gaps.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as FastTokenizer

from compress.errors import InputError
from compress.files.whole import read_object

BYTES = frozenset(f"<0x{number:02X}>" for number in range(256))
"""Tokens of single bytes, which some tokenizers use for unknown characters."""


def read_vocabulary(folder: Path) -> dict[str, Any]:
    """The content of a model folder's tokenizer.json.

    Raises:
        InputError: the file cannot be read, or its kind of tokenizer cannot be trimmed.
    """
    path = folder / "tokenizer.json"
    content = read_object(path)
    model = content.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if kind not in KINDS:
        raise InputError(
            f"tokens cannot be taken out of a {kind!r:.40} tokenizer",
            where=str(path),
            fix=f"known: {', '.join(sorted(KINDS))}; leave this step out",
        )
    assert isinstance(model, dict)
    if model.get("continuing_subword_prefix") and kind == "BPE":
        raise InputError(
            "tokens cannot be taken out of a BPE tokenizer with a prefix for continued words",
            where=str(path),
            fix="leave this step out",
        )
    return content


def trim(
    content: Mapping[str, Any], used: Collection[int], also: Collection[int] = ()
) -> tuple[dict[str, Any], list[int]]:
    """A tokenizer with fewer tokens.

    It keeps the used tokens, special and added ones, single characters and bytes, and the parts of which used tokens
    are merged.

    Args:
        content: the content from `read_vocabulary`.
        used: ids of the tokens whose texts are to tokenize as before.
        also: further ids to keep.

    Returns:
        The new content, and the old id of each new id, in ascending order.
    """
    new_content: dict[str, Any] = deepcopy(dict(content))
    model = new_content["model"]
    numbers = _numbers(model)
    names = {number: token for token, number in numbers.items()}
    added = new_content.get("added_tokens") or []
    needed = {token for token in numbers if len(token) == 1 or token in BYTES}
    needed |= KINDS[model["type"]](model, {names[number] for number in used if number in names})
    keep = {*used, *also, *(item["id"] for item in added), *(numbers[token] for token in needed if token in numbers)}
    if isinstance(model.get("unk_token"), str):
        keep.add(numbers[model["unk_token"]])
    kept_ids = sorted(keep & {*names, *(item["id"] for item in added)})
    new = {old: index for index, old in enumerate(kept_ids)}
    if isinstance(model["vocab"], list):
        model["vocab"] = [model["vocab"][old] for old in kept_ids if old < len(model["vocab"])]
        model["unk_id"] = new.get(model.get("unk_id"))
    else:
        model["vocab"] = {token: new[number] for token, number in model["vocab"].items() if number in new}
    if "merges" in model:
        tokens = model["vocab"]
        model["merges"] = [
            merge for merge in model["merges"] if {*(pair := _pair(merge)), "".join(pair)} <= tokens.keys()
        ]
    for item in added:
        item["id"] = new[item["id"]]
    if new_content.get("padding"):
        new_content["padding"]["pad_id"] = new.get(new_content["padding"]["pad_id"], 0)
    _renumber(new_content.get("post_processor"), new)
    return new_content, kept_ids


def split_differently(before: FastTokenizer, after: FastTokenizer, texts: Sequence[str]) -> float:
    """Share of the first tokenizer's tokens that the second does not have at the same place in the text."""
    whole = same = 0
    pairs = zip(
        before.encode_batch(list(texts), add_special_tokens=False),
        after.encode_batch(list(texts), add_special_tokens=False),
        strict=True,
    )
    for one, other in pairs:
        own = list(zip(one.offsets, one.tokens, strict=True))
        there = set(zip(other.offsets, other.tokens, strict=True))
        whole += len(own)
        same += sum(item in there for item in own)
    return 1 - same / whole if whole else 0.0


def write_tokenizer(content: Mapping[str, Any], kept_ids: Sequence[int], source: Path, target: Path) -> None:
    """Write a trimmed tokenizer's files, without files of `source` that only repeat tokenizer.json."""
    (target / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    path = source / "tokenizer_config.json"
    if path.is_file():
        config = read_object(path)
        new = {str(old): str(index) for index, old in enumerate(kept_ids)}
        decoder = config.get("added_tokens_decoder")
        if isinstance(decoder, dict):
            config["added_tokens_decoder"] = {new[old]: item for old, item in decoder.items() if old in new}
        (target / path.name).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _numbers(model: Mapping[str, Any]) -> dict[str, int]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        return {piece: number for number, (piece, _) in enumerate(vocabulary)}
    return dict(vocabulary)


def _pieces_of_words(model: Mapping[str, Any], used: Collection[str]) -> set[str]:
    """The pieces that WordPiece needs to split any word: it takes the longest piece that fits, so single characters do.

    If the vocabulary lacks a character alone, all longer pieces that contain it are kept.
    """
    del used
    prefix = model.get("continuing_subword_prefix") or ""
    tokens = model["vocab"].keys()
    inside = {token for token in tokens if token.startswith(prefix) and len(token) == len(prefix) + 1}
    alone = {token for token in tokens if len(token) == 1}

    def is_reached(token: str) -> bool:
        continues = token.startswith(prefix) and len(token) > len(prefix)
        text = token.removeprefix(prefix) if continues else token
        return all(
            f"{prefix}{char}" in inside if place or continues else char in alone for place, char in enumerate(text)
        )

    return inside | {token for token in tokens if not is_reached(token)}


def _merged_from(model: Mapping[str, Any], used: Collection[str]) -> set[str]:
    """The products of all merges on the way to a used token: BPE applies the first merge that fits, again and again."""
    ranks = {_pair(merge): rank for rank, merge in enumerate(model["merges"])}
    suffix = model.get("end_of_word_suffix") or ""
    products = {
        token for token in model["vocab"] if suffix and token.endswith(suffix) and len(token) == len(suffix) + 1
    }
    for token in used:
        ends = bool(suffix) and token.endswith(suffix)
        parts = list(token.removesuffix(suffix) if ends else token)
        if ends and parts:
            parts[-1] += suffix
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
            if best not in ranks:
                break
            at = list(pairwise(parts)).index(best)
            parts[at : at + 2] = ["".join(best)]
            products.add("".join(best))
    return products


def _likely_pieces(model: Mapping[str, Any], used: Collection[str]) -> set[str]:
    """The piece that Unigram needs: the least likely one, which sets the cost of an unknown character.

    Unigram takes the likeliest split of a text, so fewer pieces change no split that is still possible.
    """
    del used
    return {min(model["vocab"], key=lambda item: item[1])[0]}


KINDS: Mapping[str, Callable[[Mapping[str, Any], Collection[str]], set[str]]] = {
    "WordPiece": _pieces_of_words,
    "BPE": _merged_from,
    "Unigram": _likely_pieces,
}
"""Algorithm -> the function for the tokens that it needs besides the used ones and single characters."""


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    """The two parts of a merge in either of the file's forms: `a b`, or [a, b]."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _renumber(part: Any, new: Mapping[int, int]) -> None:
    """Replace the ids of a post-processor's special tokens by the new ones, in place."""
    if not isinstance(part, dict):
        return
    for inner in part.get("processors") or ():
        _renumber(inner, new)
    for name in ("sep", "cls"):
        if isinstance(part.get(name), list):  # BertProcessing, RobertaProcessing
            part[name][1] = new[part[name][1]]
    special = part.get("special_tokens")
    for item in special.values() if isinstance(special, dict) else ():
        item["ids"] = [new[old] for old in item["ids"]]
