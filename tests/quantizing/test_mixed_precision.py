"""The search for layers that stay in float, on a graph in which it is known which ones must."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compress.comparing.held_back import held_back
from compress.errors import CompressError, InputError
from compress.graphs.matrices import gemms_to_matmuls, matrices
from compress.graphs.read import read_float_graph
from compress.models.tokenizer import load_tokenizer
from compress.quantizing.mixed_precision import Write, keep_what_matters, layers_in
from compress.quantizing.write_and_gate import write_rounded
from compress.stages import quantize_onnx_4bit, quantize_onnx_dynamic, quantize_onnx_static
from tests.chain import Chain, context_of

Spoiling = Callable[[set[str]], Write]


@pytest.fixture
def graph(chain: Chain) -> onnx.ModelProto:
    found = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    gemms_to_matmuls(found)
    return found


@pytest.fixture
def spoiling(graph: onnx.ModelProto) -> Spoiling:
    """Makes a way of writing that ruins the named layers unless they are kept, and nothing else."""

    def make(spoilt: set[str]) -> Write:
        def write(kept: frozenset[str]) -> onnx.ModelProto:
            made = onnx.ModelProto()
            made.CopyFrom(graph)
            for product in matrices(made, attention=True):
                if product.node.name in spoilt - kept:
                    (tensor,) = (item for item in made.graph.initializer if item.name == product.name)
                    tensor.CopyFrom(numpy_helper.from_array(0 * product.weights, product.name))
            return made

        return write

    return make


def test_all_that_can_be_rounded_is_a_layer(graph: onnx.ModelProto) -> None:
    found = layers_in(graph, embeddings=True)
    assert len(found) == 3 + 1 + 3 + 2
    assert len({layer.name for layer in found}) == len(found)
    assert len(layers_in(graph, embeddings=False)) == 1 + 3 + 2
    tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
    by = {product.node.name: product.name for product in matrices(graph, attention=True)}
    for layer in layers_in(graph, embeddings=False):
        assert layer.bytes == 4 * np.prod(tensors[by[layer.name]].dims)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_just_the_layers_that_must_stay_in_float_do(
    count: int, graph: onnx.ModelProto, spoiling: Spoiling, chain: Chain, tmp_path: Path
) -> None:
    layers = layers_in(graph, embeddings=False)
    spoilt = {layers[-1].name, layers[0].name} if count == 2 else {layers[-1].name} if count else set()
    held = held_back(chain.plan.task, load_tokenizer(chain.artifacts["onnx"].path), 64)
    kept, facts = keep_what_matters(spoiling(spoilt), layers, graph, held, 1.0, context_of(chain, tmp_path))
    scores = {item.name: item.divergence for item in facts.layers}
    assert all((scores[name] > 1e-6) == (name in spoilt) for name in scores), scores
    assert {item.name for item in facts.kept} == kept
    assert kept == spoilt
    last = facts.tried[-1]
    assert last.kept == len(kept)
    assert last.drop_pp <= 1.0
    outputs = [held.outputs(_open(write)) for write in (graph, spoiling(spoilt)(kept))]
    drop = held.drop(*outputs)
    assert drop is not None
    assert last.drop_pp == pytest.approx(100 * drop.value), "what is claimed was measured of what was made"
    if count:
        assert facts.tried[0].drop_pp > 1.0


def _open(graph: onnx.ModelProto) -> Any:
    from compress.runtimes.onnxruntime import open_graph

    return open_graph(graph)


@pytest.mark.int8
@pytest.mark.parametrize("stage", [quantize_onnx_dynamic, quantize_onnx_static, quantize_onnx_4bit])
def test_named_nodes_stay_in_float_and_are_told(stage: Any, chain: Chain, tmp_path: Path) -> None:
    source = chain.artifacts["onnx"]
    graph = read_float_graph(source.path / "model.onnx")
    gemms_to_matmuls(graph)
    name = [product.node.name for product in matrices(graph)][1]
    config = stage.Config(keep_float=(name,))
    facts = stage.run(model=source, config=config, context=context_of(chain, tmp_path), out=tmp_path).manifest_facts()
    assert facts["left_in_float"] == [name]
    assert [product.node.name for product in matrices(onnx.load(str(tmp_path / "model.onnx")))] == [name]
    with pytest.raises(InputError, match="keep_float names 'dense', which is no layer here"):
        stage.run(
            model=source, config=stage.Config(keep_float=("dense",)), context=context_of(chain, tmp_path), out=tmp_path
        )


def test_a_budget_is_held_to_on_rows_that_the_search_did_not_see(
    graph: onnx.ModelProto, spoiling: Spoiling, chain: Chain, tmp_path: Path
) -> None:
    """Nothing is spoilt while layers are searched for, and the head is in what is written."""
    source, head = chain.artifacts["onnx"].path, layers_in(graph, embeddings=False)[-1]
    limits = quantize_onnx_dynamic.Config(max_drop_pp=1.0, min_agreement=0.0)
    searching = iter([False] * 2 + [True])  # the head rounded alone, all rounded, and what is written

    def write(kept: frozenset[str]) -> onnx.ModelProto:
        return spoiling({head.name} if next(searching) else set())(kept)

    with pytest.raises(CompressError, match=r"max_drop_pp 1 is not kept: .* but 8 others lose \d+.* at least \d"):
        write_rounded(write, [head], graph, source, limits, context_of(chain, tmp_path), tmp_path)


@pytest.mark.int8
def test_a_budget_that_rounding_keeps_leaves_nothing_in_float(chain: Chain, tmp_path: Path) -> None:
    facts = quantize_onnx_dynamic.run(
        model=chain.artifacts["onnx"],
        config=quantize_onnx_dynamic.Config(max_drop_pp=5.0),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    ).manifest_facts()
    assert facts["left_in_float"] == []
    assert facts["sensitivity"]["tried"] == [{"kept": 0, "drop_pp": 0.0, "agreement": 1.0}]
    assert len(facts["sensitivity"]["layers"]) == 9
