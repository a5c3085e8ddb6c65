"""The check that a model's tokenizer gives the same ids as transformers' AutoTokenizer of the folder.

Some settings are outside of tokenizer.json, and AutoTokenizer rebuilds some classes from them. `python -P -m
compress.models.auto_tokenizer FOLDER [pairs]` prints one line of JSON: the problem, or null. It runs no code from the
folder and uses no network.
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
"""Address space that the process may use."""
ADDED = 16
"""Number of special and added tokens that are tried inside a text."""
PLAIN = 64
"""Most tokens of the odd texts."""
AS_IT_IS = f'set "tokenizer_class": "PreTrainedTokenizerFast" in {CONFIG}'
"""The setting with which AutoTokenizer uses tokenizer.json as it is."""


class Wrong(NamedTuple):
    """A problem of a tokenizer, its place and its fix."""

    what: str
    where: str
    fix: str


def compared(folder: Path, *, pairs: bool) -> Wrong | None:
    """The first problem of a folder's tokenizer, compared with AutoTokenizer on odd texts; None if there is none.

    Args:
        pairs: whether pairs of texts are compared too.
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
        problem = _differing(ours, theirs, pairs) or _other_padding(ours, theirs)
        return problem or (_other_segments(ours, theirs) if pairs else None)
    except InputError as error:  # our tokenizer fails on a text
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
    """The problem of the first text for which the two tokenizers give different ids."""
    added = dict.fromkeys([*theirs.all_special_tokens, *theirs.get_added_vocab()])
    texts = [*ODD_TEXTS, *(f" {token} a{token}b {token.lower()}" for token in list(added)[:ADDED])]
    cases: list[tuple[str, str | None, int]] = [(text, None, PLAIN) for text in texts]
    cases += [(LONG, None, length) for length in LENGTHS]
    if pairs:
        cases += [(first, second, PLAIN) for first, second in PAIRS] + [(LONG, LONG, LENGTHS[-1])]
    failed = 0
    for first, second, length in cases:
        ids = ours.encode([first], None if second is None else [second], length)[0]["input_ids"]
        expected = _encoded(theirs, first, second, length)
        if expected is None:
            failed += 1
            continue
        if expected == ids or (not expected and len(ids) == 1):  # our tokenizer gives one token for an empty text
            continue
        if first == LONG and second is None:
            return _cut(ours, expected, ids, length)
        text = repr(first if second is None else (first, second))
        return Wrong(
            f"the tokenizer gives other ids than transformers' AutoTokenizer: of {text:.80} "
            f"{_first_difference(ids, expected)}",
            str(ours.path),
            f"write a tokenizer.json that says all: {CONVERSION}; or, if it is right as it is, {AS_IT_IS}",
        )
    if failed < len(cases):
        return None
    what = f"transformers' AutoTokenizer makes a {type(theirs).__name__}, which cannot encode texts"
    return Wrong(what, str(ours.path.parent / CONFIG), f"if tokenizer.json is right as it is, {AS_IT_IS}")


def _cut(ours: Tokenizer, expected: Sequence[int], ids: Sequence[int], length: int) -> Wrong:
    return Wrong(
        f"the tokenizer cuts texts otherwise than transformers' AutoTokenizer: at {length} tokens "
        f"{_first_difference(ids, expected)}",
        str(ours.path),
        f'say it in {CONFIG} ("truncation_side": "left"), or write a tokenizer.json that says all: {CONVERSION}',
    )


def _other_segments(ours: Tokenizer, theirs: Any) -> Wrong | None:
    """The problem if a model with segments would get other segment ids for a pair; none at all count as zeros."""
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
    """The problem if rows are padded with another id, and the model's config.json does not name one."""
    model_pad_id = read_object(ours.path.parent / "config.json").get("pad_token_id")
    if theirs.pad_token_id in (None, ours.pad_id) or model_pad_id is not None:
        return None
    return Wrong(
        f"the tokenizer pads with the id {ours.pad_id}, and transformers' AutoTokenizer with {theirs.pad_token_id}",
        str(ours.path.parent / CONFIG),
        f'set "pad_token": {json.dumps(theirs.pad_token)} in {CONFIG}',
    )


def _encoded(theirs: Any, first: str, second: str | None, length: int) -> list[int] | None:
    """The ids from AutoTokenizer; None if it fails, so that there is nothing to compare."""
    try:
        rows = theirs([first], None if second is None else [second], truncation=True, max_length=length)["input_ids"]
        return [int(number) for number in rows[0]]
    except Exception:  # noqa: BLE001  slow tokenizers raise anything
        return None


def _first_difference(own_ids: Sequence[int], expected: Sequence[int]) -> str:
    """A text with two rows of ids, from a little before they differ."""
    least = min(len(own_ids), len(expected))
    first = next((place for place in range(least) if own_ids[place] != expected[place]), least)
    start = max(0, first - 2)

    def shown(ids: Sequence[int]) -> str:
        more = "…, " if start else "", ", …" if len(ids) > start + 6 else ""
        return f"[{more[0]}{', '.join(map(str, ids[start : start + 6]))}{more[1]}]"

    return f"{shown(own_ids)} in place of {shown(expected)}"


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> None:
    """Check the folder that the command line names."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "critical"}
    sys.modules["torch"] = None  # type: ignore[assignment]  # tokenizers do not need torch, and it takes seconds to import
    _limit_memory()
    sys.stdout.write(json.dumps(compared(Path(sys.argv[1]), pairs="pairs" in sys.argv[2:])) + "\n")


if __name__ == "__main__":
    main()
