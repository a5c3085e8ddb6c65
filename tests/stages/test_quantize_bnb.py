"""Weights that bitsandbytes rounded come back the same in another process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from safetensors import safe_open

from compress.errors import InputError
from compress.models.architectures import read_shape
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import quantize_bnb
from compress.store.artifacts import Artifact
from tests.chain import Chain, context_of
from tests.fresh import in_a_fresh_process

TASK = "text-classification"


def predicted(folder: Path, batch: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return load(folder, Target(runtime="torch"), TASK)(batch)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, chain: Chain) -> Artifact:
    """A classifier whose matrices are wide enough for the kernels of 4 bits."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from compress.models.tokenizer import copy_tokenizer

    source = chain.artifacts["teacher"].path
    folder = tmp_path_factory.mktemp("wide")
    torch.manual_seed(0)
    config = BertConfig.from_pretrained(
        source, hidden_size=64, num_attention_heads=4, intermediate_size=128, num_hidden_layers=2
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(8)  # so that rounding has a visible effect on the logits
    model.save_pretrained(folder)
    copy_tokenizer(source, folder)
    return Artifact(folder, "3" * 64, "torch")


@pytest.fixture
def narrow(uneven: Callable[[str], Artifact]) -> Artifact:
    """A classifier of which no matrix has a size that 4 bits can have."""
    return uneven("bert")


def quantized(model: Artifact, bits: Literal[4, 8], chain: Chain, out: Path) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    config = quantize_bnb.Config(bits=bits, min_agreement=0.0)
    return quantize_bnb.run(model=model, config=config, context=context_of(chain, out), out=out).manifest_facts()


def test_8_bits_have_any_size(narrow: Artifact, chain: Chain, tmp_path: Path) -> None:
    facts = quantized(narrow, 8, chain, tmp_path / "eight")
    assert facts["kept_in_float"] == ["classifier"]
    with safe_open(tmp_path / "eight" / "model.safetensors", framework="numpy") as file:
        eights = [name for name in file.keys() if file.get_slice(name).get_dtype() == "I8"]  # noqa: SIM118  no dict
    assert len(eights) == 2 * 6 + 1
    assert 0 < facts["parity"]["max_abs_difference"] < 0.05 * max(1, facts["parity"]["scale"])


def test_4_bits_of_nothing_are_refused(narrow: Artifact, chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to quantize to 4 bits: none of the encoder's 13 matrices") as caught:
        quantized(narrow, 4, chain, tmp_path / "four")
    assert caught.value.where == str(narrow.path)
    assert caught.value.fix is not None
    assert caught.value.fix.startswith("take 8 bits")
    assert not list((tmp_path / "four").iterdir())


@pytest.mark.parametrize("bits", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_a_fresh_process_computes_the_same_of_what_was_saved(
    bits: Literal[4, 8], wide: Artifact, chain: Chain, tmp_path: Path
) -> None:
    facts = quantized(wide, bits, chain, tmp_path)
    assert facts["kept_in_float"] == ["classifier"]
    said = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert (said["quant_method"], said[f"load_in_{bits}bit"]) == ("bitsandbytes", True)
    shapes = [read_shape(json.loads((folder / "config.json").read_text())) for folder in (wide.path, tmp_path)]
    assert shapes[0] == shapes[1]
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        codes = file.get_slice("bert.encoder.layer.0.attention.self.query.weight")
        assert codes.get_dtype() == {4: "U8", 8: "I8"}[bits]
        assert int(np.prod(codes.get_shape())) == 64 * 64 * bits // 8

    ids = np.random.default_rng(0).integers(5, 60, (4, 12))
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    fresh = in_a_fresh_process(predicted, tmp_path, batch)
    here, floats = predicted(tmp_path, batch), predicted(wide.path, batch)
    assert np.abs(fresh - here).max() < 1e-6
    error = np.abs(fresh - floats).max() / np.abs(floats).max()
    assert 0 < error < {4: 0.6, 8: 0.1}[bits]
