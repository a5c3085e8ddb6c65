"""Neighbours of words: the words that are near them in a model's table of input embeddings."""

from collections.abc import Iterable
from typing import Any

import torch

from compress.models.tokenizer import Tokenizer
from compress.ops.nearest import nearest


def near_words(model: Any, tokenizer: Tokenizer, words: Iterable[str], count: int) -> dict[str, list[str]]:
    """The nearest words of each word; only words that are one token have neighbours and are neighbours.

    Args:
        words: words as they stand in texts.
        count: the most neighbours of a word.

    Returns:
        Word -> other words, the nearest first; capitalised if the word is.
    """
    word_of = whole_words(tokenizer)  # token id -> word
    query_words = {
        word: number for word, number in _single_tokens(tokenizer, sorted(set(words))).items() if number in word_of
    }
    ids = sorted(word_of)
    if len(ids) < 2:
        return {}
    row_of = {number: row for row, number in enumerate(ids)}
    table = model.get_input_embeddings().weight[ids]  # (known words, width)
    queries = torch.tensor([row_of[number] for number in query_words.values()], dtype=torch.long)
    with torch.no_grad():
        rows = nearest(table, queries, min(count, len(ids) - 1))
    neighbours = {}
    for word, near in zip(query_words, rows.tolist(), strict=True):
        others = [word_of[ids[row]] for row in near]
        if word[0].isupper():
            others = [other[0].upper() + other[1:] for other in others]
        if other_words := [other for other in others if other != word]:
            neighbours[word] = other_words
    return neighbours


def whole_words(tokenizer: Tokenizer) -> dict[int, str]:
    """The ids of tokens that are a whole word -> that word as it stands in a text."""
    size = tokenizer.fast.get_vocab_size()
    texts = {number: tokenizer.fast.decode([number]).strip() for number in range(size)}
    words = {number: word for number, word in texts.items() if word.isalpha() and len(word) > 1}
    single = _single_tokens(tokenizer, sorted(set(words.values())))
    return {number: word for number, word in words.items() if single.get(word) == number}


def _single_tokens(tokenizer: Tokenizer, words: list[str]) -> dict[str, int]:
    """Those of the words that are one token in the middle of a text -> the id of that token."""
    # byte-level and Unigram vocabularies know a word by the space before it
    encodings = tokenizer.fast.encode_batch([f" {word}" for word in words], add_special_tokens=False)
    return {word: encoding.ids[0] for word, encoding in zip(words, encodings, strict=True) if len(encoding.ids) == 1}
