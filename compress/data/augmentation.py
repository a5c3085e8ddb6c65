"""New variants of a text: words are swapped, deleted or replaced, or a part of another text is put in.

Random swap and deletion are those of EDA (Wei and Zou 2019, arXiv:1901.11196), section 2. Words are replaced by
neighbours in a table of embeddings as in TinyBERT (Jiao et al. 2020, arXiv:1909.10351), section 3.3. Mixed texts, which
only a teacher can label, show a student how the teacher answers between the rows: Beyer et al. 2022 (arXiv:2106.05237).
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

_WORD = re.compile(r"\w+|[^\w\s]")

MASKED = "\0"
"""The mark before a word that a masked language model is to replace."""

Near = Mapping[str, Sequence[str]]
"""Word -> other words that can replace it."""


def words_of(text: str) -> list[str]:
    """The words and punctuation marks of a text."""
    return _WORD.findall(text)


def vary(
    words: Sequence[str], share: float, weights: Mapping[str, float], near: Near, random: np.random.Generator
) -> list[str]:
    """A variant of a text in which a share of the words is changed, each word at most once.

    Args:
        share: share of the words to change; at least one word is. A swap changes two.
        weights: how often each way is taken: `swap`, `delete`, `neighbours`, and `masked`, which marks a word by
            `MASKED`. A way that fits no remaining word is left out.
        near: the words that `neighbours` draws from.

    Returns:
        Words; at least one, if the text had one.
    """
    remaining = max(1, round(share * len(words)))
    changed_words: list[str | None] = list(words)
    free = np.ones(len(words), dtype=bool)
    fits = {
        "delete": free.copy(),
        "neighbours": np.array([word in near for word in words], dtype=bool),
        "masked": np.array([word.isalpha() and len(word) > 1 for word in words], dtype=bool),
    }
    differ = np.array([one != other for one, other in pairwise(words)], dtype=bool)
    ways = [way for way in weights if weights[way] > 0]
    while remaining > 0 and ways:
        shares = np.array([weights[way] for way in ways])
        way = ways[int(random.choice(len(ways), p=shares / shares.sum()))]
        places = np.flatnonzero(_swappable(differ, free) if way == "swap" else free & fits[way])
        if not len(places) or (way == "delete" and sum(word is not None for word in changed_words) < 2):
            ways.remove(way)
            continue
        place = int(random.choice(places))
        free[place] = False
        remaining -= 1
        if way == "swap":
            changed_words[place], changed_words[place + 1] = changed_words[place + 1], changed_words[place]
            free[place + 1] = False
            remaining -= 1
        elif way == "delete":
            changed_words[place] = None
        elif way == "masked":
            changed_words[place] = MASKED + words[place]
        else:
            changed_words[place] = str(random.choice(near[words[place]]))
    return [word for word in changed_words if word is not None]


def mix(words: Sequence[str], other: Sequence[str], random: np.random.Generator) -> list[str]:
    """A part of a text and a part of another, in either order: 20% to 80% of the one, and the rest of the other."""
    share = random.uniform(0.2, 0.8)
    parts = [_part(words, share, random), _part(other, 1 - share, random)]
    first = int(random.integers(2))
    return [*parts[first], *parts[1 - first]]


def _part(words: Sequence[str], share: float, random: np.random.Generator) -> Sequence[str]:
    """Consecutive words of a text, a share of it, from a random place."""
    length = round(share * len(words))
    start = int(random.integers(len(words) - length + 1))
    return words[start : start + length]


def _swappable(differ: np.ndarray[Any, Any], free: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whether each word can be swapped with the next, (words,): both are free, and they `differ`, (words - 1,)."""
    swappable = np.zeros(len(free), dtype=bool)
    swappable[:-1] = free[:-1] & free[1:] & differ
    return swappable
