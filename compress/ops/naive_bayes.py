"""Labels guessed from the words of texts, by naive Bayes."""

import re
from collections.abc import Sequence

import numpy as np

WORD = re.compile(r"\b\w\w+\b")
"""A word: at least two letters or digits of any script."""


def guess_labels(known_texts: Sequence[str], labels: Sequence[str], texts: Sequence[str]) -> list[str] | None:
    """The likeliest label of each text by multinomial naive Bayes on the set of its words.

    McCallum and Nigam 1998, A comparison of event models for naive Bayes text classification, equation 5 and 6, with
    one added to each count. Unknown words are ignored.

    Args:
        known_texts: (rows,) texts to learn from.
        labels: (rows,) labels of the known texts.
        texts: texts whose labels are guessed.

    Returns:
        A label for each of `texts`, the first by name of equally likely ones; None if no known text has a word.
    """
    word_numbers: dict[str, int] = {}
    rows = [[word_numbers.setdefault(word, len(word_numbers)) for word in sorted(_words(text))] for text in known_texts]
    if not word_numbers:
        return None
    names, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    counts = np.ones((len(names), len(word_numbers)))  # (labels, words): texts with the word
    for number, row in zip(numbers, rows, strict=True):
        counts[number, row] += 1
    likelihoods = np.log(counts / counts.sum(axis=1, keepdims=True))
    prior = np.log(np.bincount(numbers) / len(rows))
    judged = ([word_numbers[word] for word in _words(text) if word in word_numbers] for text in texts)
    return [names[(prior + likelihoods[:, row].sum(axis=1)).argmax()] for row in judged]


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))
