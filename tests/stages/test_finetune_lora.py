"""finetune_lora: what is written is the frozen weights and the adapters, and computes what was trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.context import Context
from compress.models import bnb
from compress.models.architectures import read_shape
from compress.models.config_file import read_config
from compress.models.load import load_model
from compress.models.tokenizer import copy_tokenizer
from compress.stages import finetune_lora
from compress.store.artifacts import Artifact
from compress.training import checkpoints
from tests.chain import FAST, Chain, context_of
from tests.families import ALIKE
from tests.fresh import fresh_logits
from tests.training.test_checkpoints import Killed, killed_at

TASK = "text-classification"
RANK = 4
SETTINGS = {**FAST, "epochs": 24, "rank": RANK, "alpha": 16, "dropout": 0.0}


@pytest.fixture(scope="module")
def pretrained(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A model without a head, whose matrices are all wide enough for the kernels of 4 bits."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    config = BertConfig.from_pretrained(make_model(), hidden_size=64, intermediate_size=128)
    BertModel(config).save_pretrained(folder)
    copy_tokenizer(make_model(), folder)
    return Artifact(folder, "5" * 64, "torch")


@pytest.fixture
def tuned(pretrained: Artifact, chain: Chain, tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    def tune(
        model: Artifact = pretrained, context: Context | None = None, **settings: Any
    ) -> tuple[Path, dict[str, Any]]:
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        facts = finetune_lora.run(
            model=model,
            config=finetune_lora.Config(**{**SETTINGS, **settings}),
            context=context or context_of(chain, tmp_path / "work"),
            out=out,
        )
        return out, facts

    return tune


def rounded(pretrained: Artifact, bits: int | None) -> dict[str, torch.Tensor]:
    """The matrices that the adapters were trained beside, by the names of their modules."""
    floats = load_model(pretrained.path, TASK, labels=("bad", "good"))
    inside = {
        name: module.weight.detach()
        for name, module in floats.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith("bert.encoder")
    }
    if bits is None:
        return inside
    kept = bnb.kept_in_float(floats, bits)
    network = load_model(
        pretrained.path, TASK, labels=("bad", "good"), quantization_config=bnb.scheme(bits, kept), device_map="cpu"
    )
    found = bnb.float_weights(network)
    step = {8: 0.01, 4: 0.25}[bits]
    assert set(inside) <= set(found)
    for name, weight in inside.items():
        assert 0 < (found[name] - weight).abs().max() < step * weight.abs().max(), name
    return {name: found[name] for name in inside}


@pytest.mark.parametrize("bits", [None, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_frozen_weights_and_products_of_that_rank_are_written(
    bits: int | None, pretrained: Artifact, tuned: Any, chain: Chain
) -> None:
    folder, facts = tuned(base_bits=bits, epochs={None: 3, 4: 14, 8: 24}[bits])
    assert facts["best_validation_score"] >= 0.9 or not bits, "beside rounded weights it learns, too"
    assert facts["parity"]["max_abs_difference"] < 0.03 * facts["parity"]["scale"]
    network = load_model(folder, TASK)
    assert network.config.id2label == {0: "bad", 1: "good"}
    state, before = network.state_dict(), load_model(pretrained.path, TASK, labels=("bad", "good")).state_dict()
    assert set(state) == set(before)
    matrices = rounded(pretrained, bits)
    for name, weight in matrices.items():
        singular = torch.linalg.svdvals(state[f"{name}.weight"] - weight)
        assert singular[0] > 1e-3, name
        assert singular[RANK] < 1e-5 * singular[0] + 1e-6, name
    whole = {name for name in state if "pooler" in name or "classifier" in name}
    same = set(state) - whole - {f"{name}.weight" for name in matrices}
    assert all(torch.equal(state[name], before[name]) for name in same)
    adapters = sum(RANK * sum(weight.shape) for weight in matrices.values())
    assert facts["trained_parameters"] == adapters + sum(state[name].numel() for name in whole)


def test_the_folder_is_a_plain_model(tuned: Any) -> None:
    folder, _ = tuned(epochs=0.2)
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    ids, mask = torch.tensor([[2, 7, 9, 11, 6, 3]]), torch.ones(1, 6, dtype=torch.long)
    with torch.no_grad():
        expected = load_model(folder, TASK)(input_ids=ids, attention_mask=mask).logits
    assert fresh_logits(folder, ids, mask) == pytest.approx(expected.flatten().tolist(), abs=1e-6)


@pytest.mark.parametrize(
    "family", ["distilbert", "modernbert", "albert", pytest.param("deberta-v2", marks=pytest.mark.slow), *ALIKE]
)
def test_each_family_is_written_as_it_was_trained(
    family: str, make_model: Callable[..., Path], tuned: Any, tmp_path: Path
) -> None:
    folder, facts = tuned(model=Artifact(make_model(family), "6" * 64, "torch"), epochs=0.2)
    assert facts["parity"]["max_abs_difference"] < 0.02 * max(1, facts["parity"]["scale"])
    network = load_model(folder, TASK)
    whole = sum(item.numel() for item in network.parameters())
    assert 0 < facts["trained_parameters"] < whole


def test_unevenly_pruned_models_keep_their_shapes(uneven: Callable[[str], Artifact], tuned: Any) -> None:
    model = uneven("bert")
    folder, facts = tuned(model=model, epochs=0.2, base_bits=8)
    assert all("classifier" in name or "pooler" in name for name in facts["kept_in_float"])
    assert read_shape(read_config(folder)) == read_shape(read_config(model.path))
    assert facts["parity"]["max_abs_difference"] < 0.03 * max(1, facts["parity"]["scale"])


@pytest.mark.parametrize("bits", [None, pytest.param(4, marks=pytest.mark.slow)])
def test_a_killed_training_goes_on_to_the_same_weights(
    bits: int | None, tuned: Any, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    settings = {"epochs": 2, "dropout": 0.1, "base_bits": bits}
    expected, facts = tuned(**settings)
    begun: list[int] = []

    def note(what: str, done: int, total: int) -> None:
        begun.append(done)

    context = context_of(chain, tmp_path / "killed")
    with pytest.raises(Killed):
        tuned(context=replace(context, progress=killed_at(9)), **settings)
    found, again = tuned(context=replace(context, progress=note), **settings)
    assert begun[0] > 1, "it went on, and did not start anew"
    assert again == facts
    assert (found / "model.safetensors").read_bytes() == (expected / "model.safetensors").read_bytes()


@pytest.mark.gpu
@pytest.mark.parametrize("bits", [4, 8])
def test_on_cuda_too(bits: int, tuned: Any, chain: Chain, tmp_path: Path) -> None:
    context = replace(context_of(chain, tmp_path / "cuda"), device="cuda")
    folder, facts = tuned(context=context, base_bits=bits)
    assert facts["best_validation_score"] >= 0.9
    assert facts["parity"]["max_abs_difference"] < 0.05 * facts["parity"]["scale"]
    assert not (set(bnb.float_weights(load_model(folder, TASK))))
