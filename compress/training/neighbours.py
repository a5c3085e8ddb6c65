"""Which words lie near each other in a model's table of input embeddings."""

from collections.abc import Iterable
from typing import Any

import torch

from compress.models.tokenizer import Tokenizer
from compress.ops.nearest import nearest


def near_words(model: Any, tokenizer: Tokenizer, words: Iterable[str], count: int) -> dict[str, list[str]]:
    """For each word that is one token, the words nearest to it that are one token too.

    Args:
        words: as they stand in texts; those of several tokens, and those that are no word, are left out.
        count: how many each gets, at most.

    Returns:
        Word -> other words, the nearest first; capitalised if the word is.
    """
    known = whole_words(tokenizer)  # token id -> word
    asked = {word: number for word, number in _single_tokens(tokenizer, sorted(set(words))).items() if number in known}
    ids = sorted(known)
    if len(ids) < 2:
        return {}
    row_of = {number: row for row, number in enumerate(ids)}
    table = model.get_input_embeddings().weight[ids]  # (known words, width)
    queries = torch.tensor([row_of[number] for number in asked.values()], dtype=torch.long)
    with torch.no_grad():
        rows = nearest(table, queries, min(count, len(ids) - 1))
    found = {}
    for word, near in zip(asked, rows.tolist(), strict=True):
        others = [known[ids[row]] for row in near]
        if word[0].isupper():
            others = [other[0].upper() + other[1:] for other in others]
        if kept := [other for other in others if other != word]:
            found[word] = kept
    return found


def whole_words(tokenizer: Tokenizer) -> dict[int, str]:
    """Token ids that stand for a word as a whole, with the word as a text has it."""
    size = tokenizer.fast.get_vocab_size()
    written = {number: tokenizer.fast.decode([number]).strip() for number in range(size)}
    words = {number: word for number, word in written.items() if word.isalpha() and len(word) > 1}
    single = _single_tokens(tokenizer, sorted(set(words.values())))
    return {number: word for number, word in words.items() if single.get(word) == number}


def _single_tokens(tokenizer: Tokenizer, words: list[str]) -> dict[str, int]:
    """The words among them that are one token in the middle of a text, with its id."""
    # byte-level and Unigram vocabularies know a word by the space before it
    encodings = tokenizer.fast.encode_batch([f" {word}" for word in words], add_special_tokens=False)
    return {word: encoding.ids[0] for word, encoding in zip(words, encodings, strict=True) if len(encoding.ids) == 1}
