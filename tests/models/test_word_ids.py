"""Ids made word by word are those of the library, on any text, at any length, for every kind of tokenizer."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from benchmarks.search.tokenizer_texts import NAMES, ODD, SPACES
from compress.models import word_ids as module
from compress.models.odd_texts import LONG, ODD_TEXTS
from compress.models.tokenizer import load_tokenizer
from tests.models.test_vocabulary import SPECIAL, byte_bpe, suffix_bpe, unigram, word_piece

WORDS = (
    "the",
    "The",
    "quarterly",
    "profit",
    "Profits,",
    "o'clock",
    "it's",
    "rose",
    "rosé",
    "don't",
    "42",
    "4.25%",
    "日本語",
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from((*WORDS, *ODD, *NAMES, *SPACES, " ", " ", " ")), max_size=24).map("".join),
    st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join),
)


def bert() -> Tokenizer:
    made = word_piece()
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.add_tokens([AddedToken("profits", single_word=True), AddedToken("<new>", lstrip=True, rstrip=True)])
    return made


def short_words() -> Tokenizer:
    """It takes words of more than four characters for unknown, and has an added token within a word."""
    made = word_piece()
    made.model.max_input_chars_per_word = 4
    made.add_tokens([AddedToken("he", normalized=True)])
    return made


def digits() -> Tokenizer:
    """It has a token of two digits, which it splits before it looks for it."""
    vocabulary = {"<unk>": 0, "4": 1, "42": 2, "##2": 3, "the": 4, "The": 5, "##e": 6}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(True)])
    made.normalizer = normalizers.Lowercase()
    return made


def folded() -> Tokenizer:
    made = suffix_bpe()
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents()])
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(True)])
    return made


def roberta() -> Tokenizer:
    made = gpt2()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    made.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False), AddedToken("<new>", rstrip=True)])
    return made


def gpt2() -> Tokenizer:
    """It knows white space of several characters as one token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIAL, initial_alphabet=alphabet)
    made.train_from_iterator(["the profit  rose   \n\n \n the  \n", "  the    profit "] * 9, trainer)
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    return made


def spaceless() -> Tokenizer:
    """Its pieces have spaces in them, so that no word stands alone."""
    made = Tokenizer(models.BPE({"a": 0, " ": 1, "b": 2, "a ": 3, "a b": 4}, [("a", " "), ("a ", "b")]))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n"), "removed")
    return made


WORDWISE = (bert, word_piece, short_words, digits, suffix_bpe, folded, byte_bpe, roberta, gpt2)
KINDS: dict[str, Callable[[], Tokenizer]] = {make.__name__: make for make in (*WORDWISE, unigram, spaceless)}


class Both:
    """A tokenizer as it is loaded, and the library's alone."""

    def __init__(self, make: Callable[[], Tokenizer], folder: Path, **config: Any) -> None:
        make().save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        self.ours = load_tokenizer(folder)
        self.plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.plain.encode_special_tokens = config.get("split_special_tokens", False)
        self.side = config.get("truncation_side", "right")

    def assert_same(self, texts: list[str], length: int, pairs: list[str] | None = None) -> None:
        self.plain.enable_truncation(length, direction=self.side)
        expected = self.plain.encode_batch(texts if pairs is None else list(zip(texts, pairs, strict=True)))
        for row, encoding in zip(self.ours.encode(texts, pairs, length), expected, strict=True):
            assert row["input_ids"] == (encoding.ids or [self.ours.pad_id])
            assert row["attention_mask"] == (encoding.attention_mask or [1])
            assert row["token_type_ids"] == (encoding.type_ids or [0])


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(KINDS[request.param], tmp_path_factory.mktemp("kind"))


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4), length=st.integers(3, 40))
@example([*ODD_TEXTS, LONG], 5)
def test_any_text_has_the_ids_of_the_library(both: Both, texts: list[str], length: int) -> None:
    both.assert_same(texts, length)


@pytest.mark.parametrize("length", [4, 32])
def test_all_short_texts_of_words_and_spaces(both: Both, length: int) -> None:
    parts = ("the", " ", "\n", "\x0b", "'s", "<new>")
    both.assert_same(["".join(text) for size in range(6) for text in itertools.product(parts, repeat=size)], length)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), length=st.integers(8, 40))
def test_pairs_have_the_ids_of_the_library(both: Both, texts: list[tuple[str, str]], length: int) -> None:
    if both.plain.num_special_tokens_to_add(True) > both.plain.num_special_tokens_to_add(False):
        both.assert_same([first for first, _ in texts], length, [second for _, second in texts])


@pytest.mark.parametrize("name", KINDS)
def test_tokenizers_whose_words_stand_alone_go_word_by_word(name: str) -> None:
    assert (module.word_ids(KINDS[name]()) is not None) == (KINDS[name] in WORDWISE)


@pytest.mark.parametrize("make", [bert, roberta])
@pytest.mark.parametrize("config", [{"truncation_side": "left"}, {"split_special_tokens": True}], ids=str)
def test_settings_outside_of_the_file(make: Callable[[], Tokenizer], config: dict[str, Any], tmp_path: Path) -> None:
    both = Both(make, tmp_path, **config)
    assert (both.ours.words is None) == ("truncation_side" in config)
    for length in (3, 6, 64):
        both.assert_same([*ODD_TEXTS, LONG, "the </s> profit", "<s> the <mask>"], length)


def test_a_word_is_asked_for_once_and_few_words_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both(bert, tmp_path)
    words = both.ours.words
    assert words is not None
    both.assert_same(["the profit rose the profit", "x" * 100], 64)
    assert dict(words.first) == {word: words.first[word] for word in ("the", "profit", "rose")}
    monkeypatch.setattr(module, "MOST_WORDS", 4)
    for number in range(9):
        both.assert_same([f"profit {number} the"], 64)
        assert len(words.first) <= 4


def test_a_long_text_is_read_only_as_far_as_its_ids_are_kept(tmp_path: Path) -> None:
    both = Both(bert, tmp_path)
    assert both.ours.words is not None
    text = " ".join(["the", "\x01", *(f"w{number}" for number in range(50))])
    both.assert_same([text], 12)
    assert "w30" not in both.ours.words.first
    both.assert_same([" ".join(["\x01"] * 40 + ["rose"] * 40)], 12)  # words without tokens


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("normalizer", {"type": "Replace", "pattern": {"String": " "}, "content": ""}),
        ("normalizer", {"type": "Strip", "strip_left": True, "strip_right": True}),
        ("pre_tokenizer", {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}),
        ("pre_tokenizer", None),
        ("added_tokens", "the profit"),
    ],
)
def test_what_may_reach_over_a_space_is_left_to_the_library(part: str, value: Any, tmp_path: Path) -> None:
    made = word_piece()
    if part == "added_tokens":
        made.add_tokens([value])
    content = json.loads(made.to_str())
    if part != "added_tokens":
        content[part] = value
    both = Both(lambda: Tokenizer.from_str(json.dumps(content)), tmp_path)
    assert both.ours.words is None
    both.assert_same([*ODD_TEXTS, "the profit rose"], 16)


def test_segments_and_random_merges_are_left_to_the_library() -> None:
    made = bert()
    made.post_processor = processors.TemplateProcessing(
        single="<s>:0 $A:1 </s>:1", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    assert module.word_ids(made) is None
    made = suffix_bpe()
    assert module.word_ids(made) is not None
    made.model.dropout = 0.5
    assert module.word_ids(made) is None
