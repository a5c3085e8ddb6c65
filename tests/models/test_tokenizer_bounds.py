"""How often a tokenizer can grow a text, held against what the library makes of it; and real ones, which all pass."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import (
    ByteLevelBPETokenizer,
    Regex,
    SentencePieceBPETokenizer,
    SentencePieceUnigramTokenizer,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from compress.errors import InputError
from compress.models.tokenizer_bounds import tokenizer_bounds

TEXTS = ["the film was good", "awful, awful music!"] * 20
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)


def roberta() -> Any:
    made = ByteLevelBPETokenizer()
    made.train_from_iterator(TEXTS, vocab_size=300, special_tokens=["<s>", "</s>"])
    made._tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return made


def unigram() -> Any:
    made = SentencePieceUnigramTokenizer()
    made.train_from_iterator(TEXTS, vocab_size=40, special_tokens=["<unk>"], unk_token="<unk>")
    return made


def albert() -> Any:
    made = unigram()
    steps = [normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    made._tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
    return made


def llama() -> Any:
    made = Tokenizer(models.BPE({"<unk>": 0, "a": 1}, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    pieces = [("<s>", 1)]
    made.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=pieces)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return made


def llama_3() -> Any:
    made = Tokenizer(models.BPE({"a": 0}, []))
    split = pre_tokenizers.Split(Regex(GPT4), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    made.post_processor = processors.Sequence([processors.ByteLevel(), processors.BertProcessing(("a", 0), ("a", 0))])
    return made


def save(tokenizer: Any, folder: Path, **changed: Any) -> Path:
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    return path


@pytest.mark.parametrize("make", [roberta, unigram, albert, llama, llama_3, SentencePieceBPETokenizer])
def test_real_kinds_are_used_without_a_trial(make: Any, tmp_path: Path) -> None:
    found = tokenizer_bounds(save(make(), tmp_path))
    assert found.unknown == []
    assert found.plain


def test_the_models_of_the_tests_are_used_without_a_trial(make_model: Any) -> None:
    for family in ("bert", "roberta", "distilbert"):
        assert tokenizer_bounds(make_model(family) / "tokenizer.json").plain


@pytest.mark.parametrize(
    ("steps", "grows"),
    [
        ([normalizers.Replace("a", "aa")] * 3, 8),
        ([normalizers.Replace("a", "bcd"), normalizers.Replace("bc", "ef")], 3),
        ([normalizers.Replace("aa", "b")], 1),
        ([normalizers.Replace("a", "\ufdfa"), normalizers.NFKD()], 18),
        ([normalizers.Replace(Regex("x?"), "yy")], 3),
    ],
)
def test_growth_is_what_the_library_does_at_the_most(steps: list[Any], grows: float, tmp_path: Path) -> None:
    made = llama()
    made.normalizer = normalizers.Sequence(steps)
    found = tokenizer_bounds(save(made, tmp_path))
    assert found.growth == grows
    longest = max(len(made.normalizer.normalize_str(letter * 100)) for letter in "abx")
    assert longest <= 100 * found.growth + 2  # an empty match stands after the last letter, too


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {
                "normalizer": {
                    "type": "Sequence",
                    "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 40,
                }
            },
            "can make a text 1,099,511,627,776 times as long",
        ),
        (
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 20}},
            "can make a text 2,097,152 times as long",
        ),
        (
            {
                "normalizer": {
                    "type": "Precompiled",
                    "precompiled_charsmap": base64.b64encode(b"\4\0\0\0" + bytes(4) + b"x" * 33_000_000).decode(),
                }
            },
            "can make a text 1,000,000 times as long",
        ),
        (
            {
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [{"SpecialToken": {"id": "x", "type_id": 0}}] * 2,
                    "pair": [],
                    "special_tokens": {"x": {"id": "x", "ids": [1] * 500, "tokens": ["x"] * 500}},
                }
            },
            "adds up to 1,000 tokens to each text; at most 256 may be",
        ),
        (
            {"model": {"type": "BPE", "continuing_subword_prefix": "#" * 65}},
            "has a continuing_subword_prefix of 65 letters; at most 64 may be",
        ),
    ],
)
def test_what_grows_past_all_bounds_is_refused(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        tokenizer_bounds(save(llama(), tmp_path, **changed))
    assert caught.value.what == f"the tokenizer {said}"


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", r"(\w+\s?)*$", "a*a*a*b", "(a|a)*b", "(?:a|b){1,99}c", r"(a+)\1+", "(a+|b+)(a+|b+)c"],
)
def test_a_pattern_that_may_search_for_long_is_tried(pattern: str, tmp_path: Path) -> None:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    assert not tokenizer_bounds(save(llama(), tmp_path, pre_tokenizer=split)).plain


def test_what_is_not_known_is_tried(tmp_path: Path) -> None:
    for part in ("normalizer", "pre_tokenizer", "post_processor", "model"):
        assert tokenizer_bounds(save(llama(), tmp_path, **{part: {"type": "New"}})).unknown != []
