"""Whether a model's tokenizer is the one that transformers' AutoTokenizer makes of the folder.

Some settings stand beside tokenizer.json, and AutoTokenizer builds some classes anew from them. `python -P -m
compress.models.auto_tokenizer FOLDER [pairs]` prints one line of JSON: what is wrong, or null. It runs no code out of
the folder and reaches no network.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from compress.errors import InputError
from compress.files.whole import read_object
from compress.models.odd_texts import LENGTHS, LONG, ODD_TEXTS, PAIRS
from compress.models.tokenizer import CONVERSION, Tokenizer, load_tokenizer
from compress.models.tokenizer_settings import CONFIG, SEGMENTS

OWN_CODE = "trust_remote_code"
MEMORY_BYTES = 8 * 2**30
"""Address space of the process."""
ADDED = 16
"""Special and added tokens that are tried within a text."""
PLAIN = 64
"""Tokens that odd texts are cut to at the most."""
AS_IT_IS = f'set "tokenizer_class": "PreTrainedTokenizerFast" in {CONFIG}'
"""Lets AutoTokenizer take tokenizer.json as it is."""


class Wrong(NamedTuple):
    """What is wrong with a tokenizer, and what to do."""

    what: str
    where: str
    fix: str


def compared(folder: Path, *, pairs: bool) -> Wrong | None:
    """What is wrong with a folder's tokenizer, held against AutoTokenizer on odd texts; None if nothing is.

    Args:
        pairs: whether pairs of texts count too.
    """
    try:
        ours = load_tokenizer(folder)
        ours.encode(["a"], None, 8)
    except InputError as error:
        return Wrong(error.what, error.where or str(folder), error.fix or "check it")
    from transformers import AutoTokenizer

    try:
        theirs = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001  odd files make the library raise anything
        return _unreadable(folder, error)
    try:
        found = _differing(ours, theirs, pairs) or _other_padding(ours, theirs)
        return found or (_other_segments(ours, theirs) if pairs else None)
    except InputError as error:  # ours fails on a text
        return Wrong(error.what, error.where or str(folder), error.fix or "check it")


def _unreadable(folder: Path, error: Exception) -> Wrong:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    where = str(folder / CONFIG)
    if OWN_CODE in str(error):
        fix = f'if its tokenizer.json says all, take "auto_map" out of {CONFIG}, and {AS_IT_IS}'
        return Wrong("the tokenizer is code of the model's own, which is not run", where, fix)
    what = f"transformers' AutoTokenizer cannot read the tokenizer: {type(error).__name__}: {first[:200]}"
    return Wrong(what, where, f"correct the tokenizer's files; or, if tokenizer.json is right as it is, {AS_IT_IS}")


def _differing(ours: Tokenizer, theirs: Any, pairs: bool) -> Wrong | None:
    """The first text of which the two make other ids."""
    added = dict.fromkeys([*theirs.all_special_tokens, *theirs.get_added_vocab()])
    texts = [*ODD_TEXTS, *(f" {token} a{token}b {token.lower()}" for token in list(added)[:ADDED])]
    asked: list[tuple[str, str | None, int]] = [(text, None, PLAIN) for text in texts]
    asked += [(LONG, None, length) for length in LENGTHS]
    if pairs:
        asked += [(first, second, PLAIN) for first, second in PAIRS] + [(LONG, LONG, LENGTHS[-1])]
    failed = 0
    for first, second, length in asked:
        found = ours.encode([first], None if second is None else [second], length)[0]["input_ids"]
        expected = _encoded(theirs, first, second, length)
        if expected is None:
            failed += 1
            continue
        if expected == found or (not expected and len(found) == 1):  # of a text without tokens, ours makes one
            continue
        if first == LONG and second is None:
            return _cut(ours, expected, found, length)
        text = repr(first if second is None else (first, second))
        return Wrong(
            f"the tokenizer gives other ids than transformers' AutoTokenizer: of {text:.80} {_told(found, expected)}",
            str(ours.path),
            f"write a tokenizer.json that says all: {CONVERSION}; or, if it is right as it is, {AS_IT_IS}",
        )
    if failed < len(asked):
        return None
    what = f"transformers' AutoTokenizer makes a {type(theirs).__name__}, which cannot encode texts"
    return Wrong(what, str(ours.path.parent / CONFIG), f"if tokenizer.json is right as it is, {AS_IT_IS}")


def _cut(ours: Tokenizer, expected: Sequence[int], found: Sequence[int], length: int) -> Wrong:
    return Wrong(
        f"the tokenizer cuts texts otherwise than transformers' AutoTokenizer: at {length} tokens "
        f"{_told(found, expected)}",
        str(ours.path),
        f'say it in {CONFIG} ("truncation_side": "left"), or write a tokenizer.json that says all: {CONVERSION}',
    )


def _other_segments(ours: Tokenizer, theirs: Any) -> Wrong | None:
    """Whether a model that tells segments apart would get others of a pair: none at all are as good as zeros."""
    config = read_object(ours.path.parent / "config.json")
    if config.get("type_vocab_size", 0) in (0, 1, None):
        return None
    first, second = PAIRS[0]
    row = ours.encode([first], [second], PLAIN)[0]
    expected = theirs(first, second, truncation=True, max_length=PLAIN).get(SEGMENTS) or [0] * len(row[SEGMENTS])
    if list(expected) == row[SEGMENTS]:
        return None
    names = [name for name in ("input_ids", SEGMENTS, "attention_mask") if name in theirs.model_input_names]
    return Wrong(
        f"the tokenizer gives the second text of a pair other segment ids than transformers' AutoTokenizer: "
        f"{row[SEGMENTS][-1]} in place of {expected[-1]}",
        str(ours.path.parent / CONFIG),
        f'set "model_input_names": {json.dumps(names)} in {CONFIG}',
    )


def _other_padding(ours: Tokenizer, theirs: Any) -> Wrong | None:
    """Whether rows are filled up with another id, where the model does not name one itself."""
    named = read_object(ours.path.parent / "config.json").get("pad_token_id")
    if theirs.pad_token_id in (None, ours.pad_id) or named is not None:
        return None
    return Wrong(
        f"the tokenizer pads with the id {ours.pad_id}, and transformers' AutoTokenizer with {theirs.pad_token_id}",
        str(ours.path.parent / CONFIG),
        f'set "pad_token": {json.dumps(theirs.pad_token)} in {CONFIG}',
    )


def _encoded(theirs: Any, first: str, second: str | None, length: int) -> list[int] | None:
    """What AutoTokenizer gives; None where it cannot, so that there is nothing to hold ours against."""
    try:
        rows = theirs([first], None if second is None else [second], truncation=True, max_length=length)["input_ids"]
        return [int(number) for number in rows[0]]
    except Exception:  # noqa: BLE001  slow tokenizers raise anything
        return None


def _told(found: Sequence[int], expected: Sequence[int]) -> str:
    """Two rows of ids, from a little before they differ."""
    least = min(len(found), len(expected))
    first = next((place for place in range(least) if found[place] != expected[place]), least)
    start = max(0, first - 2)

    def shown(ids: Sequence[int]) -> str:
        more = "…, " if start else "", ", …" if len(ids) > start + 6 else ""
        return f"[{more[0]}{', '.join(map(str, ids[start : start + 6]))}{more[1]}]"

    return f"{shown(found)} in place of {shown(expected)}"


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> None:
    """Compare the folder that the command line names."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "critical"}
    sys.modules["torch"] = None  # type: ignore[assignment]  # a tokenizer needs none, and it takes seconds to import
    _limit_memory()
    sys.stdout.write(json.dumps(compared(Path(sys.argv[1]), pairs="pairs" in sys.argv[2:])) + "\n")


if __name__ == "__main__":
    main()
