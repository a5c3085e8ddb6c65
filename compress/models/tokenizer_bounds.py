"""What a tokenizer.json can make of a text, read off the file before the library sees it.

A normaliser may double a text as often as it likes, a pattern may search for ever, a template may add a million tokens.
Here is said how often a text can grow, and whether the file holds anything whose cost cannot be read off it.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import InputError
from compress.files.whole import read_object

MOST_GROWTH = 1000
"""Letters that one letter may become, at the most, beside Unicode's own forms, which make up to 18 of one."""
PLAIN_GROWTH = 16
"""Up to so many, beside Unicode's own forms, nobody needs to try."""
MOST_ADDED = 256
"""Tokens that a template may add to a text."""
MOST_ADDED_LETTERS = 10_000_000
"""Of all added tokens together, which are normalised while the file is loaded."""
LONGEST_PREFIX = 64
"""Letters that a model may put before each letter or part of a word."""
LONGEST_WORD = 10_000
"""Letters of a word that WordPiece cuts up, in a time of its square."""
LONGEST_PATTERN = 2000
PLAIN_LOOPS = 2
"""Repetitions in one alternative of a pattern: its time is at most the text's square."""
UNICODE = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer", "Nmt", "Strip"}
PRE_TOKENIZERS = {
    "BertPreTokenizer",
    "CharDelimiterSplit",
    "Digits",
    "FixedLength",
    "Metaspace",
    "Punctuation",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
}
PROCESSORS = {"BertProcessing", "RobertaProcessing", "ByteLevel"}
MODELS = {"BPE", "WordPiece", "WordLevel", "Unigram"}


@dataclass
class Bounds:
    """What is known of a tokenizer.

    Attributes:
        growth: letters that one letter may become, beside Unicode's own forms.
        unknown: parts whose cost cannot be read off the file.
    """

    growth: float
    unknown: list[str]

    @property
    def plain(self) -> bool:
        """Whether it can be used without a trial."""
        return not self.unknown and self.growth <= PLAIN_GROWTH


def tokenizer_bounds(path: Path) -> Bounds:
    """The bounds of a tokenizer.json.

    Raises:
        InputError: the file cannot be read, or its text, template or prefixes grow past all bounds.
    """
    said = read_object(path)
    found = Bounds(1.0, [])
    for part in _parts(said.get("normalizer"), "normalizers", "normalizer", found):
        _normalizer(part, found)
    for part in _parts(said.get("pre_tokenizer"), "pretokenizers", "pre-tokenizer", found):
        _pre_tokenizer(part, found)
    if found.growth > MOST_GROWTH:
        raise _refused(path, f"can make a text {_times(found.growth)} times as long")
    if (added := _added_by_template(said.get("post_processor"), found)) > MOST_ADDED:
        raise _refused(path, f"adds up to {_times(added)} tokens to each text; at most {MOST_ADDED} may be")
    _model(said.get("model"), path, found)
    if (letters := found.growth * _added_letters(said.get("added_tokens"))) > MOST_ADDED_LETTERS:
        raise _refused(path, f"normalises its added tokens to {_times(letters)} letters")
    return found


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"the tokenizer {why}", where=str(path), fix="take the tokenizer.json that belongs to the model")


def _times(count: float) -> str:
    return f"{count:,.0f}" if count < 1e15 else f"{count:.0e}"


def _parts(given: Any, key: str, kind: str, found: Bounds) -> Iterator[Mapping[str, Any]]:
    """The parts of a sequence, however deep, in their order; what is none is unknown."""
    if given is None:
        return
    if not isinstance(given, dict):
        found.unknown.append(kind)
    elif given.get("type") == "Sequence" and isinstance(given.get(key), list):
        for item in given[key]:
            yield from _parts(item, key, kind, found)
    else:
        yield given


def _normalizer(part: Mapping[str, Any], found: Bounds) -> None:
    kind = part.get("type")
    if kind == "Replace":
        found.growth *= _replaced(part, found)
    elif kind == "Prepend":
        found.growth *= 1 + _letters(part.get("prepend"))
    elif kind == "Precompiled":
        found.growth *= _mapped(part.get("precompiled_charsmap"))
    elif kind == "ByteLevel":
        found.growth *= 2  # a letter of two bytes becomes two letters, each again of two bytes
    elif kind not in UNICODE:
        found.unknown.append(f"normalizer {kind!r:.40}")


def _pre_tokenizer(part: Mapping[str, Any], found: Bounds) -> None:
    kind = part.get("type")
    if kind == "ByteLevel":
        found.growth *= 2
    elif kind == "Split":
        _pattern(part.get("pattern"), found)
    elif kind not in PRE_TOKENIZERS:
        found.unknown.append(f"pre-tokenizer {kind!r:.40}")
    if kind == "Metaspace":
        found.growth *= max(1, _letters(part.get("replacement")))


def _replaced(part: Mapping[str, Any], found: Bounds) -> float:
    """Letters that one letter becomes where a pattern is replaced."""
    text = _pattern(part.get("pattern"), found)
    content = _letters(part.get("content"))
    return 1 + content if not text else max(1.0, content / len(text))


def _pattern(given: Any, found: Bounds) -> str:
    """The text that a pattern matches, if it is one; a regular expression is unknown unless its time is bounded."""
    given = given if isinstance(given, dict) else {}
    text, regex = given.get("String"), given.get("Regex")
    if isinstance(text, str):
        return text
    if not (isinstance(regex, str) and _is_quick(regex)):
        found.unknown.append(f"pattern {regex!r:.60}")
    return ""


def _is_quick(regex: str) -> bool:
    """Whether a pattern has no group that repeats, refers to nothing it found, and has few loops in a row."""
    if len(regex) > LONGEST_PATTERN or re.search(r"\\[1-9kgG]", regex):
        return False
    plain = re.sub(r"\\[pP]\{[^}]*\}|\\.", "x", regex)  # \p{L}, \s, \(
    plain = re.sub(r"\[\^?\]?(?:[^\[\]]|\[[^\]]*\])*\]", "x", plain)  # [a-z]
    loops, depth = [0], 0
    for before, letter in zip(f" {plain}", plain, strict=False):
        depth += (letter == "(") - (letter == ")")
        if letter in "*+{":
            if before == ")":
                return False
            loops[-1] += 1
        elif letter == "|" and depth == 0:
            loops.append(0)
    return max(loops) <= PLAIN_LOOPS


def _letters(text: Any) -> int:
    """Letters of a text, in the longest of Unicode's forms."""
    return len(unicodedata.normalize("NFKD", text)) if isinstance(text, str) else 0


def _mapped(encoded: Any) -> float:
    """Letters that sentencepiece's table of letters can make of one; its strings end in zeros, after a trie."""
    try:
        raw = base64.b64decode(encoded or "", validate=True)
    except (TypeError, ValueError):
        return 1.0  # the library refuses it
    trie = int.from_bytes(raw[:4], "little")
    strings = raw[4 + trie :].split(b"\0")
    longest = max((len(text) for text in strings), default=0)
    return max(1.0, longest / 33)  # Unicode's own forms make up to 33 bytes of one letter


def _added_by_template(given: Any, found: Bounds) -> float:
    """Tokens that post-processing adds to a text, or how often it takes the text."""
    added = 0.0
    for part in _parts(given, "processors", "post-processor", found):
        kind = part.get("type")
        if kind == "TemplateProcessing":
            special = part.get("special_tokens")
            ids = {
                name: len(item["ids"])
                for name, item in (special.items() if isinstance(special, dict) else ())
                if isinstance(item, dict) and isinstance(item.get("ids"), list)
            }
            added += max(_of_pieces(part.get(name), ids) for name in ("single", "pair"))
        elif kind in PROCESSORS:
            added += 4
        else:
            found.unknown.append(f"post-processor {kind!r:.40}")
    return added


def _of_pieces(pieces: Any, ids: Mapping[str, int]) -> float:
    total = 0.0
    for piece in pieces if isinstance(pieces, list) else ():
        special = piece.get("SpecialToken") if isinstance(piece, dict) else None
        total += ids.get(str(special.get("id")), 1) if isinstance(special, dict) else 1
    return total


def _added_letters(given: Any) -> int:
    items = given if isinstance(given, list) else []
    return sum(_letters(item.get("content")) for item in items if isinstance(item, dict))


def _model(given: Any, path: Path, found: Bounds) -> None:
    given = given if isinstance(given, dict) else {}
    if given.get("type") not in MODELS:
        found.unknown.append(f"model {given.get('type')!r:.40}")
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if _letters(given.get(name)) > LONGEST_PREFIX:
            raise _refused(path, f"has a {name} of {_letters(given[name]):,} letters; at most {LONGEST_PREFIX} may be")
    longest = given.get("max_input_chars_per_word")
    if isinstance(longest, int) and longest > LONGEST_WORD:
        found.unknown.append(f"words of {longest} letters")
