"""A model says of a text in a batch what it says of it alone, whatever fills the batch up."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, processors

from benchmarks.faults.tiny_models import plain_logits
from compress.models.inputs import input_names
from compress.models.load import load_model, save_model
from compress.models.padding import padding_id, padding_side
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.runtimes.torch import predictor

TEXTS = ("good", "the awful film was a dull story about people in town", "a superb story with some music !")
TOKENS = {"a": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "<p>": 4, "[PAD]": 5}


def fast(*, ends: bool = False, without: tuple[str, ...] = ("<p>", "[PAD]")) -> FastTokenizer:
    vocabulary = {token: number for token, number in TOKENS.items() if token not in without}
    tokenizer = FastTokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return tokenizer


def write(folder: Path, config: dict[str, Any], settings: dict[str, Any]) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


EOS = {"eos_token": "</s>", "bos_token": {"content": "<s>"}}


@pytest.mark.parametrize(
    ("config", "settings", "tokenizer", "expected"),
    [
        pytest.param({"pad_token_id": 3}, {"pad_token": "<p>"}, fast(without=()), 3, id="config"),
        pytest.param({"pad_token_id": 9, "vocab_size": 6}, {"pad_token": "<p>"}, fast(without=()), 4, id="beyond"),
        pytest.param({"pad_token_id": -1}, {"pad_token": "<p>"}, fast(without=()), 4, id="negative"),
        pytest.param({"pad_token_id": None}, {"pad_token": "<p>"}, fast(without=()), 4, id="tokenizer"),
        pytest.param({"vocab_size": 4}, {"pad_token": "<p>"} | EOS, fast(without=()), 2, id="both beyond"),
        pytest.param({}, {}, fast(without=("<p>",)), 5, id="usual name"),
        pytest.param({}, EOS, fast(), 2, id="end of text"),
        pytest.param({}, EOS, fast(ends=True), 1, id="texts end with it"),
        pytest.param({"eos_token_id": 2}, {}, fast(), 2, id="end, by config"),
        pytest.param({"eos_token_id": [2, 1]}, {}, fast(), 2, id="several ends"),
        pytest.param({"text_config": {"pad_token_id": 3}}, {}, fast(), 3, id="inner"),
        pytest.param({}, {}, fast(), 0, id="nothing"),
    ],
)
def test_what_fills_rows_up(
    tmp_path: Path, config: dict[str, Any], settings: dict[str, Any], tokenizer: FastTokenizer, expected: int
) -> None:
    assert padding_id(write(tmp_path, config, settings), tokenizer) == expected


def test_xlnet_reads_the_last_place_of_a_row(tmp_path: Path) -> None:
    assert padding_side(write(tmp_path, {"model_type": "xlnet"}, {})) == "left"
    assert padding_side(write(tmp_path, {"model_type": "llama"}, {"padding_side": "left"})) == "right"


DECODERS = ["gpt2", "llama", "bloom", "opt"]


@pytest.mark.parametrize(
    "name",
    [*DECODERS, "xlnet", "t5", *(pytest.param(more, marks=pytest.mark.slow) for more in ("mistral", "gemma", "phi"))],
)
def test_batches_give_what_single_texts_give(name: str, family: Callable[..., Path]) -> None:
    folder = family(name, head=True)
    tokenizer, model = load_tokenizer(folder), load_model(folder, "text-classification")
    predict, rows = predictor(model, model), tokenizer.encode(TEXTS, None, 32)
    expected = plain_logits(folder, TEXTS)
    for length in (None, 40):
        np.testing.assert_allclose(predict(tokenizer.pad(rows, length)), expected, rtol=1e-4, atol=1e-5)
    alone = np.concatenate([predict(tokenizer.pad([row])) for row in rows])
    np.testing.assert_allclose(alone, expected, rtol=1e-4, atol=1e-5)


def test_the_padding_that_config_and_tokenizer_name_may_differ(family: Callable[..., Path]) -> None:
    folder = family("llama", head=True, pad_token_id=5)
    tokenizer, model = load_tokenizer(folder), load_model(folder, "text-classification")
    assert tokenizer.pad_id == 5
    padded = predictor(model, model)(tokenizer.pad(tokenizer.encode(TEXTS, None, 32)))
    np.testing.assert_allclose(padded, plain_logits(folder, TEXTS), rtol=1e-4, atol=1e-5)


def test_what_is_saved_names_its_padding_for_all_tools(family: Callable[..., Path], tmp_path: Path) -> None:
    folder = family("gpt2", head=True)
    assert "pad_token" not in json.loads((folder / "tokenizer_config.json").read_text())
    save_model(load_model(folder, "text-classification"), tmp_path)
    copy_tokenizer(folder, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["pad_token_id"] == 0
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["pad_token"] == "<|endoftext|>"
    np.testing.assert_allclose(
        plain_logits(tmp_path, TEXTS, together=True), plain_logits(folder, TEXTS), rtol=1e-4, atol=1e-5
    )


def test_a_tokenizer_that_names_its_padding_is_copied_as_it_is(family: Callable[..., Path], tmp_path: Path) -> None:
    folder = family("bert", head=True)
    copy_tokenizer(folder, tmp_path)
    assert (tmp_path / "tokenizer_config.json").read_bytes() == (folder / "tokenizer_config.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"), [("bert", 3), ("xlnet", 3), ("gpt2", 2), ("roberta", 2), ("llama", 2), ("mpnet", 2)]
)
def test_segments_go_to_models_that_have_them(name: str, expected: int, family: Callable[..., Path]) -> None:
    names = input_names(load_model(family(name, head=True), "text-classification"))
    assert names == ("input_ids", "attention_mask", "token_type_ids")[:expected]
