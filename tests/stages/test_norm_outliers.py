"""A DeBERTa whose norms make outliers, as real ones do: 8 bits must not destroy it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from compress.context import Context
from compress.export.export import export
from compress.graphs import norm_outliers
from compress.graphs.matrices import gemms_to_matmuls, matrices
from compress.graphs.norm_outliers import move_norm_outliers
from compress.models.load import load_model, save_model
from compress.models.tokenizer import copy_tokenizer
from compress.planning.planner import make_plan
from compress.recipe.validation import Origin
from compress.stages import quantize_onnx_dynamic, quantize_onnx_static
from compress.store.artifacts import Artifact
from tests.chain import Silent, chain_recipe
from tests.conftest import LABELS

OUTLIERS, LARGE = [3, 21], 100
IDS = np.random.default_rng(1).integers(5, 40, (64, 16))
FEED = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}


def logits(path: Path) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {item.name: FEED[item.name] for item in session.get_inputs()})[0]


@pytest.fixture(scope="module")
def deberta(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An exported model that says the same as an ordinary one, with two channels of its states 100 times larger."""
    folder = tmp_path_factory.mktemp("deberta")
    torch.manual_seed(0)
    model = load_model(make_model("deberta-v3"), "text-classification", labels=LABELS)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(6)
        layers = model.deberta.encoder.layer
        for layer in layers:
            for norm in (layer.attention.output.LayerNorm, layer.output.LayerNorm):
                norm.weight[OUTLIERS] *= LARGE
            layer.intermediate.dense.weight[:, OUTLIERS] /= LARGE
        own = layers[1].attention.self
        for reader in (own.query_proj, own.key_proj, own.value_proj, model.pooler.dense):
            reader.weight[:, OUTLIERS] /= LARGE
    save_model(model, folder)
    copy_tokenizer(make_model("deberta-v3"), folder)
    (folder / "model.safetensors").unlink()
    export(model, folder / "model.onnx")
    return Artifact(folder, "4" * 64, "onnx")


@pytest.fixture(scope="module")
def context(make_model: Callable[..., Path], reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Context:
    task = make_plan(chain_recipe(make_model(), reviews), Origin()).task
    return Context(task, 0, "cpu", False, tmp_path_factory.mktemp("work"), Silent().progress, None)  # type: ignore[arg-type]


@pytest.mark.int8
@pytest.mark.parametrize("stage", [quantize_onnx_dynamic, quantize_onnx_static], ids=["dynamic", "static"])
def test_outliers_of_norms_do_not_destroy_the_model_in_8_bits(
    stage: Any, deberta: Artifact, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits(deberta.path / "model.onnx")

    def error(name: str) -> float:
        out = tmp_path / name
        out.mkdir()
        config = stage.Config(min_agreement=0)
        stage.run(model=deberta, config=config, context=context, out=out)
        return float(np.abs(logits(out / "model.onnx") - expected).mean() / expected.std())

    assert error("moved") < 0.2
    monkeypatch.setattr(norm_outliers, "OUTLIER", np.inf)
    assert error("left") > 0.3


def test_moved_outliers_change_nothing_in_float(deberta: Artifact, tmp_path: Path) -> None:
    graph = onnx.load(deberta.path / "model.onnx")
    gemms_to_matmuls(graph)
    assert len(move_norm_outliers(graph)) == 4  # three norms that layers read, and the token that the head reads
    onnx.save(graph, tmp_path / "model.onnx")
    expected = logits(deberta.path / "model.onnx")
    assert np.abs(logits(tmp_path / "model.onnx") - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_model_without_outliers_stays_as_it_is(make_classifier: Callable[..., Any], tmp_path: Path) -> None:
    export(make_classifier("bert"), tmp_path / "model.onnx", fuses=False)
    graph = onnx.load(tmp_path / "model.onnx")
    before = graph.SerializeToString(deterministic=True)
    assert move_norm_outliers(graph) == []
    assert graph.SerializeToString(deterministic=True) == before


def test_what_is_multiplied_by_distances_stays_in_float(deberta: Artifact) -> None:
    graph = onnx.load(deberta.path / "model.onnx")
    constants = {tensor.name for tensor in graph.graph.initializer}
    weighed = {product.name for product in matrices(graph)}
    products = [node for node in graph.graph.node if node.op_type == "MatMul"]
    by_distance = [node for node in products if node.input[1] not in constants]
    assert len(by_distance) == 2 * 2  # c2p and p2c of two layers
    assert not {name for node in by_distance for name in node.input} & weighed
    assert len(weighed) == 2 * 6
