"""The ids of a text from the ids of its words, for tokenizers that split each word alone.

The library takes about a microsecond for each word of each text. Words recur, so here each word goes to the library
once, if it is no token itself, and its ids are looked up from then on. That gives the same ids if no token reaches over
the space between two words, and if a word's neighbours do not change its tokens. Two kinds of tokenizers are known to
be so:

- White space only separates (BERT's): every step of the normalizer works on single characters, or on a letter and its
  accents, and the pre-tokenizer drops white space. Tabs and ends of lines are white space as well.
- A word's space belongs to it (GPT-2's and RoBERTa's bytes): the last space before a word starts a new match of the
  pattern, and one space before that is a match of its own. Texts with longer or other white space, or with the name of
  an added token, are left to the library.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models

MOST_WORDS = 2**15
"""Words that are kept; all are forgotten once there are so many."""
LONGEST = 32
"""Characters of the longest word that is kept."""
LOCAL = frozenset({"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"})
"""Normalizers that change no word by what stands behind a space."""
SEPARATING = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})
"""Pre-tokenizers that split at white space and drop it."""
WITHIN_WORDS = SEPARATING | {"Digits", "Punctuation"}
"""Pre-tokenizers that may come after them."""


class _Ids(dict[str, tuple[int, ...]]):
    """Word -> its ids; the library is asked for a word that is not there.

    Args:
        alone: the tokenizer, cutting nothing.
        before: what stands before each word.
        whole: words that are a token -> its id.
    """

    def __init__(self, alone: FastTokenizer, before: str, whole: Mapping[str, int]) -> None:
        super().__init__()
        self._alone, self._before, self._whole = alone, before, whole

    def __missing__(self, word: str) -> tuple[int, ...]:
        token = self._whole.get(word)
        if token is not None:
            ids: tuple[int, ...] = (token,)
        else:
            ids = tuple(self._alone.encode(self._before + word, add_special_tokens=False).ids)
        if len(word) <= LONGEST:
            if len(self) >= MOST_WORDS:
                self.clear()
            self[word] = ids
        return ids


@dataclass(frozen=True)
class WordIds:
    """Makes ids of texts from the ids of words.

    Attributes:
        first: ids of words at the beginning of a text.
        later: ids of words behind a space; the same as `first` if spaces only separate.
        start: ids that stand before each text.
        end: ids that stand behind each text.
        added: contents of the added tokens.
    """

    first: _Ids
    later: _Ids
    start: tuple[int, ...]
    end: tuple[int, ...]
    added: tuple[str, ...]

    def encode(self, text: str, max_length: int) -> list[int] | None:
        """The ids of a text, cut on the right to `max_length`; None or [] if the library has to encode it whole."""
        room = max_length - len(self.start) - len(self.end)
        if room < 1:
            return None
        if self.first is self.later:
            return [*self.start, *self._separated(text, room), *self.end]
        if text.endswith("  ") or "   " in text or any(name in text for name in self.added):
            return None
        words = text.split(" ")
        if list(filter(None, words)) != text.split():
            return None
        ids = chain(self.first[words[0]], _joined(self.later, words[1:]))
        return [*self.start, *islice(ids, room), *self.end]

    def _separated(self, text: str, room: int) -> list[int]:
        """The first ids of a text in which white space only separates; what stands behind them is not looked at."""
        words = text.replace("\n", " ").replace("\t", " ").replace("\r", " ").split(" ", room)
        rest = words.pop() if len(words) > room else ""
        ids = list(islice(_joined(self.later, words), room))
        if rest and len(ids) < room:  # some words have no tokens
            ids += islice(_joined(self.later, rest.split(" ")), room - len(ids))
        return ids


def word_ids(fast: FastTokenizer) -> WordIds | None:
    """What makes a tokenizer's ids word by word; None if that may give other ids than the library.

    Raises:
        BaseException: whatever the library raises for a tokenizer that cannot encode.
    """
    normalizer, pre_tokenizer = _parts(fast.normalizer), _parts(fast.pre_tokenizer)
    tokens = [token for _, token in sorted(fast.get_added_tokens_decoder().items())]
    if getattr(fast.model, "dropout", None):
        return None
    if _separates(normalizer, pre_tokenizer) and all(_is_plain(token) for token in tokens):
        behind_space = ""
    elif not normalizer and [part["type"] for part in pre_tokenizer] == ["ByteLevel"] and pre_tokenizer[0]["use_regex"]:
        behind_space = " "
    else:
        return None
    alone = FastTokenizer(fast.model)  # shares the vocabulary, cuts nothing
    for name in ("normalizer", "pre_tokenizer", "post_processor"):
        if (part := getattr(fast, name)) is not None:
            setattr(alone, name, part)
    alone.add_tokens(tokens)
    alone.encode_special_tokens = fast.encode_special_tokens
    ends = _ends(alone)
    if ends is None or alone.get_added_tokens_decoder() != fast.get_added_tokens_decoder():
        return None
    if behind_space:
        first, later = _Ids(alone, "", {}), _Ids(alone, behind_space, {})
    else:
        first = later = _Ids(alone, "", _whole_words(alone))
    return WordIds(first, later, *ends, tuple(token.content for token in tokens))


def _joined(ids: _Ids, words: Sequence[str]) -> chain[int]:
    return chain.from_iterable(map(ids.__getitem__, words))


def _separates(normalizer: Sequence[dict[str, Any]], pre_tokenizer: Sequence[dict[str, Any]]) -> bool:
    """Whether white space only separates words, each of which is split alone."""
    kinds = [part["type"] for part in pre_tokenizer]
    return (
        LOCAL.issuperset(part["type"] for part in normalizer)
        and SEPARATING.issuperset(kinds[:1])
        and WITHIN_WORDS.issuperset(kinds)
        and bool(kinds)
    )


def _whole_words(alone: FastTokenizer) -> dict[str, int]:
    """Words of small ASCII letters and digits that WordPiece finds whole, where white space only separates -> their id.

    No normalizer in `LOCAL` changes them, and WordPiece takes the longest token that a word begins with.
    """
    splits = [part["type"] for part in _parts(alone.pre_tokenizer)]
    if not isinstance(alone.model, models.WordPiece) or "Digits" in splits:
        return {}
    names = [token.content.lower() for token in alone.get_added_tokens_decoder().values()]
    added = [name for name in names if name.isalnum()]  # the others stand in no word of letters and digits
    longest = alone.model.max_input_chars_per_word
    return {
        token: number
        for token, number in alone.get_vocab(with_added_tokens=False).items()
        if token.isalnum() and token.isascii() and token == token.lower() and len(token) <= longest
        if not (added and any(name in token for name in added))
    }


def _is_plain(token: Any) -> bool:
    """Whether an added token stands within one word, normalized or not."""
    return token.content.split() == [token.content] and (token.content.isascii() or not token.normalized)


def _parts(component: Any) -> list[dict[str, Any]]:
    """The settings of a normalizer or pre-tokenizer, and of each part of a sequence."""

    def flat(settings: dict[str, Any]) -> list[dict[str, Any]]:
        inner = settings.get("normalizers") or settings.get("pretokenizers")
        if settings["type"] != "Sequence":
            return [settings]
        return [part for settings in inner or () for part in flat(settings)]

    return [] if component is None else flat(json.loads(component.__getstate__()))


def _ends(alone: FastTokenizer) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The ids before and behind each text; None if a text with its ends is not just that, or has segments."""
    encoding, inside = alone.encode("a"), alone.encode("a", add_special_tokens=False).ids
    mask = encoding.special_tokens_mask
    if 0 not in mask or any(encoding.type_ids):
        return None
    start, end = tuple(encoding.ids[: mask.index(0)]), tuple(encoding.ids[len(mask) - mask[::-1].index(0) :])
    return (start, end) if encoding.ids == [*start, *inside, *end] else None
