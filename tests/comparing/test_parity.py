"""The gate of quantized graphs, and which nodes it blames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compress.comparing import parity
from compress.comparing.blame import first_diverging
from compress.comparing.held_back import held_back, held_back_rows
from compress.context import Rehearsal
from compress.errors import CompressError, InputError
from compress.graphs.matrices import matrices
from compress.graphs.read import read_float_graph, split_attention
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import Predictor, load
from compress.stages import quantize_onnx_4bit
from compress.store.artifacts import Artifact
from tests.chain import Chain, context_of, graph_of


def test_a_collapse_fails_the_gate(chain: Chain, tmp_path: Path) -> None:
    onnx.save(_always_0(chain.artifacts["onnx"].path), str(tmp_path / "model.onnx"))
    copy_tokenizer(chain.artifacts["onnx"].path, tmp_path)
    with pytest.raises(CompressError, match=r"quantization collapsed: \d+% of 16 rows.*float model: \S*classifier"):
        parity.gate(chain.artifacts["onnx"].path, tmp_path, context_of(chain, tmp_path), 0.8)
    rehearsed = replace(context_of(chain, tmp_path), rehearsal=Rehearsal(64, 16, 0, 1))
    assert parity.gate(chain.artifacts["onnx"].path, tmp_path, rehearsed, 0.8).agreement < 0.8


def test_a_model_that_says_what_most_rows_are_has_collapsed(chain: Chain, tmp_path: Path) -> None:
    """It agrees on nearly all rows, as any model does that always says the commonest class."""
    source, task = chain.artifacts["onnx"].path, chain.plan.task
    rows = [*task.train, *task.validation]
    outputs = held_back(replace(task, validation=rows), load_tokenizer(source)).outputs(_open(source))
    said = task.answers(outputs, rows).content
    rows = held_back_rows(replace(task, validation=rows))
    zero, one = ([row for row, label in zip(rows, said, strict=True) if label == wanted] for wanted in (0, 1))
    mostly = replace(task, validation=[*zero[:1] * 90, *one[:1] * 12])
    onnx.save(_always_0(source), str(tmp_path / "model.onnx"))
    copy_tokenizer(source, tmp_path)
    context = replace(context_of(chain, tmp_path), task=mostly)
    with pytest.raises(
        CompressError, match=r"88% of 102 rows .* hardly more than by chance .*kappa 0.00, at least 0.40"
    ):
        parity.gate(source, tmp_path, context, 0.8)
    assert parity.gate(source, source, context, 0.8).agreement == 1.0
    assert parity.gate(source, tmp_path, context, 0.0).agreement == pytest.approx(90 / 102)


def _open(folder: Path) -> Predictor:
    return load(folder, Target(), "text-classification")


def _always_0(folder: Path) -> onnx.ModelProto:
    """The model of two classes, with a head that says the first of everything."""
    model = graph_of(folder)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.bias"))
    bias.CopyFrom(numpy_helper.from_array(np.array([100, 0], dtype=np.float32), bias.name))
    return model


@pytest.mark.int8
def test_a_model_that_says_the_same_of_all_rows_is_no_measure(chain: Chain, tmp_path: Path) -> None:
    model = graph_of(chain.artifacts["onnx"].path)
    head = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.weight"))
    head.CopyFrom(numpy_helper.from_array(np.zeros(tuple(head.dims), dtype=np.float32), head.name))
    onnx.save(model, str(tmp_path / "model.onnx"))
    (tmp_path / "config.json").write_bytes((chain.artifacts["onnx"].path / "config.json").read_bytes())
    copy_tokenizer(chain.artifacts["onnx"].path, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(InputError, match="the float model says the same of all 16 rows"):
        quantize_onnx_4bit.run(
            model=Artifact(tmp_path, "8" * 64, "onnx"),
            config=quantize_onnx_4bit.Config(),
            context=context_of(chain, tmp_path),
            out=out,
        )


def test_the_node_whose_matrix_was_spoilt_is_the_first_to_blame(chain: Chain, tmp_path: Path) -> None:
    before = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    split_attention(before)
    after = onnx.ModelProto()
    after.CopyFrom(before)
    spoilt = matrices(after)[4]
    tensor = next(item for item in after.graph.initializer if item.name == spoilt.name)
    tensor.CopyFrom(numpy_helper.from_array(spoilt.weights[::-1].copy(), spoilt.name))
    batches, _ = parity.sample_batches(chain.plan.task, load_tokenizer(chain.artifacts["onnx"].path))
    assert first_diverging(before, before, batches) == []
    for graph in (before, after):  # whole numbers of places, and a mask with minus infinity, are nobody's fault
        nodes, below = graph.graph.node, numpy_helper.from_array(np.array(-np.inf, dtype=np.float32), "below")
        graph.graph.initializer.append(below)
        nodes.insert(0, helper.make_node("Add", ["input_ids", "input_ids"], ["twice"]))
        nodes.append(helper.make_node("Sum", [graph.graph.output[0].name, "below"], ["masked"]))
    name, error = first_diverging(before, after, batches)[0]
    assert name == spoilt.node.name
    assert 0.5 < error < 3
    tensor.CopyFrom(numpy_helper.from_array(np.inf * spoilt.weights, spoilt.name))
    assert first_diverging(before, after, batches)[0] == (spoilt.node.name, np.inf)
