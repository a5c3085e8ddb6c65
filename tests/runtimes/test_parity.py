"""The gate of quantized graphs, and which nodes it blames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compress.context import Rehearsal
from compress.errors import CompressError, InputError
from compress.models.matrices import matrices
from compress.models.onnx_graph import read_float_graph, split_attention
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.runtimes import parity
from compress.runtimes.blame import first_to_leave
from compress.stages import quantize_onnx_4bit
from compress.store import Artifact
from tests.chain import Chain, context_of, graph_of


def test_a_collapse_fails_the_gate(chain: Chain, tmp_path: Path) -> None:
    model = graph_of(chain.artifacts["onnx"].path)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.bias"))
    bias.CopyFrom(numpy_helper.from_array(np.array([100, 0], dtype=np.float32), bias.name))
    onnx.save(model, str(tmp_path / "model.onnx"))
    copy_tokenizer(chain.artifacts["onnx"].path, tmp_path)
    with pytest.raises(CompressError, match=r"quantization collapsed: \d+% of 16 rows.*float model: \S*classifier"):
        parity.gate(chain.artifacts["onnx"].path, tmp_path, context_of(chain, tmp_path), 0.8)
    rehearsed = replace(context_of(chain, tmp_path), rehearsal=Rehearsal(64, 16, 0, 1))
    assert parity.gate(chain.artifacts["onnx"].path, tmp_path, rehearsed, 0.8).agreement < 0.8


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
    assert first_to_leave(before, before, batches) == []
    name, error = first_to_leave(before, after, batches)[0]
    assert name == spoilt.node.name
    assert 0.5 < error < 3
