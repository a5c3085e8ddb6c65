"""New variants of a text: it is cut, joined with a part of another text, and words are swapped, deleted or replaced.

Random swap and deletion are those of EDA (Wei and Zou 2019, arXiv:1901.11196), section 2. Words are replaced by
neighbours in a table of embeddings as in TinyBERT (Jiao et al. 2020, arXiv:1909.10351), section 3.3. Mixed texts, which
only a teacher can label, show a student how the teacher answers between the rows: Beyer et al. 2022 (arXiv:2106.05237).
Parts of texts show how words compose, as the labelled phrases of a treebank do: Socher et al. 2013, Recursive Deep
Models for Semantic Compositionality Over a Sentiment Treebank.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

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
    free = [True] * len(words)
    ways = [way for way in weights if weights[way] > 0]
    odds = _cumulative(ways, weights)
    while remaining > 0 and ways:
        way = ways[bisect_right(odds, random.random())]
        places = _places(way, words, free, near)
        if not places or (way == "delete" and sum(word is not None for word in changed_words) < 2):
            ways.remove(way)
            odds = _cumulative(ways, weights)
            continue
        place = places[int(random.integers(len(places)))]
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
            candidates = near[words[place]]
            changed_words[place] = candidates[int(random.integers(len(candidates)))]
    return [word for word in changed_words if word is not None]


def mix(words: Sequence[str], other: Sequence[str], random: np.random.Generator) -> list[str]:
    """A part of a text and a part of another, in either order: 20% to 80% of the one, and the rest of the other."""
    share = random.uniform(0.2, 0.8)
    parts = [_part(words, share, random), _part(other, 1 - share, random)]
    first = int(random.integers(2))
    return [*parts[first], *parts[1 - first]]


def cut_part(words: Sequence[str], random: np.random.Generator) -> Sequence[str]:
    """Consecutive words of a text without the rest: any number of them from two; of two words or fewer all."""
    if len(words) < 3:
        return words
    return _part(words, int(random.integers(2, len(words))) / len(words), random)


def splice(words: Sequence[str], other: Sequence[str], random: np.random.Generator) -> list[str]:
    """The beginning of a text and the end of another, joined at a word that both have, so that it reads on.

    Texts without such a word are mixed.
    """
    places: dict[str, list[int]] = {}
    for place in range(1, len(words)):
        places.setdefault(words[place], []).append(place)
    joints = [place for place, word in enumerate(other[:-1]) if word in places]
    if not joints:
        return mix(words, other, random)
    second = joints[int(random.integers(len(joints)))]
    firsts = places[other[second]]
    return [*words[: firsts[int(random.integers(len(firsts)))]], *other[second:]]


def _part(words: Sequence[str], share: float, random: np.random.Generator) -> Sequence[str]:
    """Consecutive words of a text, a share of it, from a random place."""
    length = round(share * len(words))
    start = int(random.integers(len(words) - length + 1))
    return words[start : start + length]


def _cumulative(ways: Sequence[str], weights: Mapping[str, float]) -> list[float]:
    """The ends of the ways' parts of the interval from 0 to 1, each as long as its share of all weights."""
    total = sum(weights[way] for way in ways)
    ends = list(accumulate(weights[way] / total for way in ways))
    return [end / ends[-1] for end in ends]


def _places(way: str, words: Sequence[str], free: Sequence[bool], near: Near) -> list[int]:
    """The free words that a way of changing fits; a swap takes a word and the next, which must be another."""
    places = [place for place, is_free in enumerate(free) if is_free]
    if way == "swap":
        last = len(words) - 1
        return [place for place in places if place < last and free[place + 1] and words[place] != words[place + 1]]
    if way == "neighbours":
        return [place for place in places if words[place] in near]
    if way == "masked":
        return [place for place in places if words[place].isalpha() and len(words[place]) > 1]
    return places
