"""Tokens taken out of real tokenizers of each kind: kept texts split as before, and any text still splits."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from compress.errors import InputError
from compress.models.vocabulary import read_vocabulary, split_differently, trim

WORDS = "the quarterly profit of company rose fell sharply lower higher dividend shares wheat exports grain".split()
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]


def corpus(seed: int, rows: int) -> list[str]:
    random_ = random.Random(seed)
    return [" ".join(random_.choices(WORDS, k=12)) + random_.choice(["", "!", " 42", "s"]) for _ in range(rows)]


def word_piece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(corpus(0, 400), trainers.WordPieceTrainer(vocab_size=160, special_tokens=SPECIAL))
    made.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    return made


def byte_bpe() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    made.train_from_iterator(corpus(0, 400), trainer)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    return made


def suffix_bpe() -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=150, special_tokens=SPECIAL, end_of_word_suffix="</w>")
    made.train_from_iterator(corpus(0, 400), trainer)
    return made


def unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>")
    made.train_from_iterator(corpus(0, 400), trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return made


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "WordPiece": word_piece,
    "byte BPE": byte_bpe,
    "BPE with suffix": suffix_bpe,
    "Unigram": unigram,
}


class Trimmed:
    """A tokenizer before and after, and the ids that were kept."""

    def __init__(self, make: Callable[[], Tokenizer], texts: Sequence[str]) -> None:
        self.before = make()
        used = {number for encoding in self.before.encode_batch(list(texts)) for number in encoding.ids}
        content, self.kept = trim(json.loads(self.before.to_str()), used)
        self.content: dict[str, Any] = content
        self.after = Tokenizer.from_str(json.dumps(content))
        self.new = {old: index for index, old in enumerate(self.kept)}


@pytest.fixture(scope="module", params=KINDS)
def trimmed(request: pytest.FixtureRequest) -> Trimmed:
    return Trimmed(KINDS[request.param], ["the wheat exports rose", "lower grain shares 4!"])


def test_tokens_are_gone_and_numbers_close_up(trimmed: Trimmed) -> None:
    assert len(trimmed.kept) < trimmed.before.get_vocab_size() - 5
    assert trimmed.after.get_vocab_size() == len(trimmed.kept)
    assert sorted(trimmed.after.get_vocab().values()) == list(range(len(trimmed.kept)))
    for token, number in trimmed.after.get_vocab().items():
        assert trimmed.before.get_vocab()[token] == trimmed.kept[number]


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.sampled_from("the wheat exports rose lower grain shares 4!".split()), max_size=8))
def test_a_text_of_kept_tokens_splits_as_before(trimmed: Trimmed, words: list[str]) -> None:
    text = " ".join(words)
    before = trimmed.before.encode(text)
    if set(before.ids) <= trimmed.new.keys():
        assert trimmed.after.encode(text).ids == [trimmed.new[number] for number in before.ids]


@settings(max_examples=100, deadline=None)
@given(
    text=st.one_of(st.text(max_size=30), st.text(alphabet="".join(sorted({*"".join(WORDS), " ", "!"})), max_size=30))
)
def test_any_text_that_was_known_still_is(trimmed: Trimmed, text: str) -> None:
    if "<unk>" not in trimmed.before.encode(text).tokens:
        assert "<unk>" not in trimmed.after.encode(text).tokens, text


def test_special_tokens_stand_where_they_did(trimmed: Trimmed) -> None:
    before, after = (made.encode("the wheat", "grain") for made in (trimmed.before, trimmed.after))
    assert after.tokens == before.tokens
    assert after.type_ids == before.type_ids
    assert after.special_tokens_mask == before.special_tokens_mask


def test_the_share_that_splits_differently_is_that_of_the_first_tokenizers_tokens() -> None:
    found = Trimmed(word_piece, ["the wheat exports"])
    assert split_differently(found.before, found.after, ["the wheat exports"]) == 0.0
    whole = found.before.encode("the dividend", add_special_tokens=False).tokens
    assert whole[0] == "the"
    assert split_differently(found.before, found.after, ["the dividend"]) == (len(whole) - 1) / len(whole)
    assert split_differently(found.before, found.after, []) == 0.0


def test_a_character_that_is_only_known_inside_of_longer_pieces_keeps_them() -> None:
    vocabulary = {"<unk>": 0, "a": 1, "##a": 2, "b": 3, "##b": 4, "aXb": 5, "##aX": 6, "ab": 7, "abab": 8}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    content, kept = trim(json.loads(made.to_str()), {1})
    assert set(content["model"]["vocab"]) == {"<unk>", "a", "##a", "b", "##b", "aXb", "##aX"}
    assert kept == [0, 1, 2, 3, 4, 5, 6]
    assert Tokenizer.from_str(json.dumps(content)).encode("aXb").tokens == ["aXb"]


def test_what_a_used_token_is_merged_from_is_kept() -> None:
    vocabulary = {token: number for number, token in enumerate("a b c d ab abc bc cd abcd".split())}
    merges = [("a", "b"), ("b", "c"), ("ab", "c"), ("c", "d"), ("abc", "d")]
    made = Tokenizer(models.BPE(vocabulary, merges))
    content, _ = trim(json.loads(made.to_str()), {vocabulary["abc"]})
    assert set(content["model"]["vocab"]) == {"a", "b", "c", "d", "ab", "abc"}
    assert Tokenizer.from_str(json.dumps(content)).encode("abcd").tokens == ["abc", "d"]


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ({"type": "WordLevel", "vocab": {}}, "tokens cannot be taken out of a 'WordLevel' tokenizer"),
        ({"type": "BPE", "continuing_subword_prefix": "##"}, "a BPE tokenizer with a prefix for continued words"),
        (None, "tokens cannot be taken out of a None tokenizer"),
    ],
)
def test_other_tokenizers_are_refused(tmp_path: Path, model: Any, what: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}))
    with pytest.raises(InputError, match=what) as caught:
        read_vocabulary(tmp_path)
    assert caught.value.fix is not None
    assert caught.value.fix.endswith("leave this step out")
