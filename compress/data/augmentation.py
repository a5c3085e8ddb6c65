"""New variants of a text: some of its words change places, go, or give way to others, or to a part of another text.

Random swap and deletion are those of EDA (Wei and Zou 2019, arXiv:1901.11196), section 2; words that lie near in a
table of embeddings are put in as by TinyBERT (Jiao et al. 2020, arXiv:1909.10351), section 3.3. Mixed inputs, which
only a teacher can label, let a student learn its function between the rows too: Beyer et al. 2022 (arXiv:2106.05237).
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

_WORD = re.compile(r"\w+|[^\w\s]")

MASKED = "\0"
"""Stands before a word that a masked language model is to replace; alone it is a sign like others."""

Near = Mapping[str, Sequence[str]]
"""Word -> words that can stand in its place, none of them the word itself."""


def words_of(text: str) -> list[str]:
    """The words and the signs of a text."""
    return _WORD.findall(text)


def vary(
    words: Sequence[str], share: float, weights: Mapping[str, float], near: Near, random: np.random.Generator
) -> list[str]:
    """A variant of a text in which a share of the words is changed, each of them once.

    Args:
        share: of the words; at least one word is changed. A swap changes two.
        weights: of the ways `swap`, `delete`, `neighbours` and `masked`, which marks a word by `MASKED`; a way that
            fits no word any more is left out.
        near: what `neighbours` draws from.

    Returns:
        Words; at least one, if there was one.
    """
    wanted = max(1, round(share * len(words)))
    kept: list[str | None] = list(words)
    free = np.ones(len(words), dtype=bool)
    fits = {
        "delete": free.copy(),
        "neighbours": np.array([word in near for word in words], dtype=bool),
        "masked": np.array([word.isalpha() and len(word) > 1 for word in words], dtype=bool),
    }
    differ = np.array([one != other for one, other in pairwise(words)], dtype=bool)
    ways = [way for way in weights if weights[way] > 0]
    while wanted > 0 and ways:
        shares = np.array([weights[way] for way in ways])
        way = ways[int(random.choice(len(ways), p=shares / shares.sum()))]
        places = np.flatnonzero(_swappable(differ, free) if way == "swap" else free & fits[way])
        if not len(places) or (way == "delete" and sum(word is not None for word in kept) < 2):
            ways.remove(way)
            continue
        place = int(random.choice(places))
        free[place] = False
        wanted -= 1
        if way == "swap":
            kept[place], kept[place + 1] = kept[place + 1], kept[place]
            free[place + 1] = False
            wanted -= 1
        elif way == "delete":
            kept[place] = None
        elif way == "masked":
            kept[place] = MASKED + words[place]
        else:
            kept[place] = str(random.choice(near[words[place]]))
    return [word for word in kept if word is not None]


def mix(words: Sequence[str], other: Sequence[str], random: np.random.Generator) -> list[str]:
    """A part of a text, and as much of another one as makes up for the rest: 20% to 80% of each, in either order."""
    share = random.uniform(0.2, 0.8)
    parts = [_part(words, share, random), _part(other, 1 - share, random)]
    first = int(random.integers(2))
    return [*parts[first], *parts[1 - first]]


def _part(words: Sequence[str], share: float, random: np.random.Generator) -> Sequence[str]:
    """Words that stand together: a share of a text, from anywhere in it."""
    length = round(share * len(words))
    start = int(random.integers(len(words) - length + 1))
    return words[start : start + length]


def _swappable(differ: np.ndarray[Any, Any], free: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Places (words,) whose word is free, and so is the next, which is another: `differ`, (words - 1,)."""
    found = np.zeros(len(free), dtype=bool)
    found[:-1] = free[:-1] & free[1:] & differ
    return found
