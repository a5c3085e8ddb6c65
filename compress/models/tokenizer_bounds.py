"""Bounds on what a tokenizer.json can do to a text, read from the file before the library loads it.

A normaliser may double a text again and again, a pattern may search for ever, a template may add a million tokens. The
bounds say how much a text can grow, and whether the file has parts whose cost cannot be read from it.
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
"""Most letters that one letter may become, not counting Unicode's own forms, which make up to 18 of one."""
PLAIN_GROWTH = 16
"""Growth up to which no trial is needed, not counting Unicode's own forms."""
MOST_ADDED = 256
"""Most tokens that a template may add to a text."""
MOST_ADDED_LETTERS = 10_000_000
"""Most letters of all added tokens together; they are normalised while the file is loaded."""
LONGEST_PREFIX = 64
"""Most letters that a model may put before each letter or part of a word."""
LONGEST_WORD = 10_000
"""Most letters of a word that WordPiece splits, which takes time quadratic in them."""
LONGEST_PATTERN = 2000
PLAIN_LOOPS = 2
"""Most repetitions in one alternative of a pattern: its time is then at most quadratic in the text."""
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
    """The bounds of a tokenizer.

    Attributes:
        growth: letters that one letter may become, not counting Unicode's own forms.
        unknown: parts whose cost cannot be read from the file.
    """

    growth: float
    unknown: list[str]

    @property
    def plain(self) -> bool:
        """Whether the tokenizer can be used without a trial."""
        return not self.unknown and self.growth <= PLAIN_GROWTH


def tokenizer_bounds(path: Path) -> Bounds:
    """The bounds of a tokenizer.json.

    Raises:
        InputError: the file cannot be read, or a bound is exceeded.
    """
    content = read_object(path)
    bounds = Bounds(1.0, [])
    for part in _parts(content.get("normalizer"), "normalizers", "normalizer", bounds):
        _normalizer(part, bounds)
    for part in _parts(content.get("pre_tokenizer"), "pretokenizers", "pre-tokenizer", bounds):
        _pre_tokenizer(part, bounds)
    if bounds.growth > MOST_GROWTH:
        raise _refused(path, f"can make a text {_times(bounds.growth)} times as long")
    if (added := _added_tokens(content.get("post_processor"), bounds)) > MOST_ADDED:
        raise _refused(path, f"adds up to {_times(added)} tokens to each text; at most {MOST_ADDED} may be")
    _model(content.get("model"), path, bounds)
    if (letters := bounds.growth * _added_letters(content.get("added_tokens"))) > MOST_ADDED_LETTERS:
        raise _refused(path, f"normalises its added tokens to {_times(letters)} letters")
    return bounds


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"the tokenizer {why}", where=str(path), fix="take the tokenizer.json that belongs to the model")


def _times(count: float) -> str:
    return f"{count:,.0f}" if count < 1e15 else f"{count:.0e}"


def _parts(part: Any, key: str, kind: str, bounds: Bounds) -> Iterator[Mapping[str, Any]]:
    """The parts of a sequence, nested ones too, in order; anything else is noted as unknown."""
    if part is None:
        return
    if not isinstance(part, dict):
        bounds.unknown.append(kind)
    elif part.get("type") == "Sequence" and isinstance(part.get(key), list):
        for item in part[key]:
            yield from _parts(item, key, kind, bounds)
    else:
        yield part


def _normalizer(part: Mapping[str, Any], bounds: Bounds) -> None:
    kind = part.get("type")
    if kind == "Replace":
        bounds.growth *= _replaced(part, bounds)
    elif kind == "Prepend":
        bounds.growth *= 1 + _letters(part.get("prepend"))
    elif kind == "Precompiled":
        bounds.growth *= _mapped(part.get("precompiled_charsmap"))
    elif kind == "ByteLevel":
        bounds.growth *= 2  # a letter of two bytes becomes two letters, each again of two bytes
    elif kind not in UNICODE:
        bounds.unknown.append(f"normalizer {kind!r:.40}")


def _pre_tokenizer(part: Mapping[str, Any], bounds: Bounds) -> None:
    kind = part.get("type")
    if kind == "ByteLevel":
        bounds.growth *= 2
    elif kind == "Split":
        _pattern(part.get("pattern"), bounds)
    elif kind not in PRE_TOKENIZERS:
        bounds.unknown.append(f"pre-tokenizer {kind!r:.40}")
    if kind == "Metaspace":
        bounds.growth *= max(1, _letters(part.get("replacement")))


def _replaced(part: Mapping[str, Any], bounds: Bounds) -> float:
    """Letters that one letter becomes if a pattern is replaced."""
    text = _pattern(part.get("pattern"), bounds)
    content = _letters(part.get("content"))
    return 1 + content if not text else max(1.0, content / len(text))


def _pattern(pattern: Any, bounds: Bounds) -> str:
    """The text of a pattern, '' for a regular expression; one without a bound on its time is noted as unknown."""
    pattern = pattern if isinstance(pattern, dict) else {}
    text, regex = pattern.get("String"), pattern.get("Regex")
    if isinstance(text, str):
        return text
    if not (isinstance(regex, str) and _is_quick(regex)):
        bounds.unknown.append(f"pattern {regex!r:.60}")
    return ""


def _is_quick(regex: str) -> bool:
    """Whether a pattern has no repeated groups, no back references, and few loops in a row."""
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
    """Number of letters of a text in the longest of Unicode's forms."""
    return len(unicodedata.normalize("NFKD", text)) if isinstance(text, str) else 0


def _mapped(encoded: Any) -> float:
    """Letters that one letter can become by sentencepiece's table: strings that end in zeros, after a trie."""
    try:
        raw = base64.b64decode(encoded or "", validate=True)
    except (TypeError, ValueError):
        return 1.0  # the library refuses it
    trie = int.from_bytes(raw[:4], "little")
    strings = raw[4 + trie :].split(b"\0")
    longest = max((len(text) for text in strings), default=0)
    return max(1.0, longest / 33)  # Unicode's own forms make up to 33 bytes of one letter


def _added_tokens(processor: Any, bounds: Bounds) -> float:
    """Number of tokens that post-processing adds to a text; copies of the text count too."""
    added = 0.0
    for part in _parts(processor, "processors", "post-processor", bounds):
        kind = part.get("type")
        if kind == "TemplateProcessing":
            special = part.get("special_tokens")
            ids = {
                name: len(item["ids"])
                for name, item in (special.items() if isinstance(special, dict) else ())
                if isinstance(item, dict) and isinstance(item.get("ids"), list)
            }
            added += max(_special_tokens(part.get(name), ids) for name in ("single", "pair"))
        elif kind in PROCESSORS:
            added += 4
        else:
            bounds.unknown.append(f"post-processor {kind!r:.40}")
    return added


def _special_tokens(pieces: Any, ids: Mapping[str, int]) -> float:
    total = 0.0
    for piece in pieces if isinstance(pieces, list) else ():
        special = piece.get("SpecialToken") if isinstance(piece, dict) else None
        total += ids.get(str(special.get("id")), 1) if isinstance(special, dict) else 1
    return total


def _added_letters(added_tokens: Any) -> int:
    items = added_tokens if isinstance(added_tokens, list) else []
    return sum(_letters(item.get("content")) for item in items if isinstance(item, dict))


def _model(model: Any, path: Path, bounds: Bounds) -> None:
    model = model if isinstance(model, dict) else {}
    if model.get("type") not in MODELS:
        bounds.unknown.append(f"model {model.get('type')!r:.40}")
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if _letters(model.get(name)) > LONGEST_PREFIX:
            raise _refused(path, f"has a {name} of {_letters(model[name]):,} letters; at most {LONGEST_PREFIX} may be")
    longest = model.get("max_input_chars_per_word")
    if isinstance(longest, int) and longest > LONGEST_WORD:
        bounds.unknown.append(f"words of {longest} letters")
