"""Layers are found again in the graphs that they were exported to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from compress.errors import CompressError
from compress.export.export import export
from compress.export.layers_in_graph import layers_of_products, layers_of_tables
from compress.graphs.matrices import gemms_to_matmuls, matrices
from compress.graphs.read import read_float_graph, split_attention
from compress.models.load import load_model

TASK = "text-classification"


@pytest.fixture
def exported(make_model: Callable[..., Path], tmp_path: Path) -> tuple[onnx.ModelProto, torch.nn.Module]:
    torch.manual_seed(0)
    network = load_model(make_model(), TASK, labels=("bad", "good"), attention="eager")
    export(network, tmp_path / "model.onnx")
    graph = read_float_graph(tmp_path / "model.onnx")
    gemms_to_matmuls(graph)
    return graph, network


def test_every_product_and_table_is_a_layer(exported: tuple[onnx.ModelProto, torch.nn.Module]) -> None:
    graph, network = exported
    found = layers_of_products(graph, network)
    linears = [name for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)]
    assert sorted(name for names in found.values() for name in names) == sorted(linears)
    attention = [product for product in matrices(graph, attention=True) if product.is_attention]
    assert len(attention) == 2
    parts = found[attention[0].name]
    assert [name.rpartition(".")[2] for name in parts] == ["query", "key", "value"]
    whole = np.concatenate([network.get_submodule(name).weight.detach().numpy().T for name in parts], 1)
    assert np.array_equal(whole, attention[0].weights)
    assert sorted(layers_of_tables(graph, network).values()) == [
        f"bert.embeddings.{kind}_embeddings" for kind in ("position", "token_type", "word")
    ]
    assert split_attention(graph) == 2
    assert sorted(layers_of_products(graph, network).values()) == sorted((name,) for name in linears)


def test_weights_that_are_no_layers_are_refused(exported: tuple[onnx.ModelProto, torch.nn.Module]) -> None:
    graph, network = exported
    spoilt = matrices(graph)[0]
    tensor = next(item for item in graph.graph.initializer if item.name == spoilt.name)
    tensor.CopyFrom(numpy_helper.from_array(spoilt.weights + 1, spoilt.name))
    with pytest.raises(CompressError, match=r"node '.*dense.*' are no layer's of the model") as caught:
        layers_of_products(graph, network)
    assert "quantize_onnx_static" in str(caught.value.fix)


def test_layers_that_hold_the_same_are_refused(exported: tuple[onnx.ModelProto, torch.nn.Module]) -> None:
    graph, network = exported
    first, second = (f"bert.encoder.layer.0.attention.self.{role}" for role in ("query", "key"))
    with torch.no_grad():
        network.get_submodule(second).weight.copy_(network.get_submodule(first).weight)  # type: ignore[operator, arg-type]
    with pytest.raises(CompressError, match=r"'.*query' and '.*key' hold the same numbers"):
        layers_of_products(graph, network)
