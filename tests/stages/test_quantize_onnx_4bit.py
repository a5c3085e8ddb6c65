"""quantize_onnx_4bit, against the weights that it rounds."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from pydantic import ValidationError

from compress.graphs import embedding_tables
from compress.graphs.matrices import gemms_to_matmuls, matrices
from compress.graphs.read import read_float_graph, split_attention
from compress.graphs.write_blocks import put_blocks
from compress.ops.blockwise import fitting_size, round_to_nearest
from compress.ops.hqq import half_quadratic
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.runtimes.onnxruntime import graph_session
from compress.stages import quantize_onnx_4bit
from tests.chain import Chain, context_of, graph_of

pytestmark = pytest.mark.int8

TASK = "text-classification"


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def test_int4_weights_are_within_half_a_step(chain: Chain) -> None:
    split = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    split_attention(split)
    gemms_to_matmuls(split)
    floats = {tensor.name: numpy_helper.to_array(tensor) for tensor in split.graph.initializer}
    model = graph_of(chain.artifacts["int4"].path)
    packed = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    checked = 0
    for node in model.graph.node:
        if node.op_type != "MatMulNBits":
            continue
        sizes = {item.name: item.i for item in node.attribute}
        name = next(name for name in floats if node.input[1].startswith(f"{name}_Q"))
        blob = packed[node.input[1]]  # (outputs, blocks, block / 2)
        codes = np.stack([blob & 15, blob >> 4], axis=-1).reshape(sizes["N"], -1, sizes["block_size"])
        scale = np.abs(packed[node.input[2]].reshape(sizes["N"], -1, 1))
        signed = packed[node.input[2]].reshape(sizes["N"], -1, 1)
        restored = ((codes.astype(int) - 8) * signed).reshape(sizes["N"], -1)[:, : sizes["K"]]
        error = np.abs(restored - floats[name].T).reshape(sizes["N"], -1, sizes["block_size"])
        clipped = codes == 15  # the range is -8 to 7: what lies above 7.5 steps is cut to 7
        assert (error[~clipped] <= np.broadcast_to(0.5001 * scale, error.shape)[~clipped] + 1e-9).all(), name
        assert (error <= 1.0001 * scale).all(), name
        checked += 1
    assert checked >= 6
    assert kinds(model)["MatMul"] == 0
    assert kinds(model)["GatherBlockQuantized"] == 0, "its tables are too small to be worth it"
    assert len(embedding_tables.tables(model)) == 0


@pytest.mark.parametrize(
    ("method", "symmetric"), [("rtn", True), ("rtn", False), ("gptq", True), ("gptq", False), ("hqq", True)]
)
def test_4_bit_products_are_those_of_the_weights_that_the_codes_stand_for(
    method: str, symmetric: bool, chain: Chain, tmp_path: Path
) -> None:
    quantize_onnx_4bit.run(
        model=chain.artifacts["onnx"],
        config=quantize_onnx_4bit.Config(
            method=method, symmetric=symmetric, block_size=16, accuracy_level=1, embeddings=False
        ),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    )
    written = graph_of(tmp_path)
    packed = {tensor.name: numpy_helper.to_array(tensor) for tensor in written.graph.initializer}
    floats = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    split_attention(floats)
    assert gemms_to_matmuls(floats) == 2
    weights = {tensor.name: tensor for tensor in floats.graph.initializer}
    restored = 0
    for node in written.graph.node:
        if node.op_type != "MatMulNBits":
            continue
        sizes = {item.name: item.i for item in node.attribute}
        blob, scales = packed[node.input[1]], packed[node.input[2]].reshape(sizes["N"], -1, 1)
        codes = np.stack([blob & 15, blob >> 4], axis=-1).reshape(sizes["N"], -1, 16).astype(np.float32)
        zeros: Any = 8.0
        if len(node.input) > 3:
            zeros = packed[node.input[3]]
            if zeros.dtype == np.uint8:
                pairs = zeros.reshape(sizes["N"], -1)
                zeros = np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(sizes["N"], -1)[:, : codes.shape[1]]
            zeros = zeros.reshape(sizes["N"], -1, 1)
        assert (len(node.input) > 3) == (method == "hqq" or not symmetric)
        name = node.input[1].removesuffix("_Q4")
        stood_for = ((codes - zeros) * scales).reshape(sizes["N"], -1)[:, : sizes["K"]]
        weights[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(stood_for.T), name))
        restored += 1
    assert restored >= 6
    other = tmp_path / "restored"
    other.mkdir()
    onnx.save(floats, str(other / "model.onnx"))
    ids = np.random.default_rng(2).integers(5, 60, (4, 20))
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    ours, expected = (load(folder, Target(), TASK)(batch) for folder in (tmp_path, other))
    assert np.abs(ours - expected).max() < 1e-4


@pytest.mark.parametrize("method", ["rtn", "hqq"])
def test_each_matrix_has_blocks_of_the_fewest_bytes(method: str, chain: Chain, tmp_path: Path) -> None:
    config = quantize_onnx_4bit.Config(method=method, min_agreement=0)
    quantize_onnx_4bit.run(
        model=chain.artifacts["onnx"], config=config, context=context_of(chain, tmp_path), out=tmp_path
    )
    found = set()
    for node in graph_of(tmp_path).graph.node:
        if node.op_type == "MatMulNBits":
            sizes = {item.name: item.i for item in node.attribute}
            found.add(sizes["block_size"])
            assert sizes["block_size"] == fitting_size(sizes["K"], 4, 128, 32 if method == "hqq" else 0)
    assert found
    assert max(found) < 128, "its matrices are too small"


def test_only_gptq_reads_training_rows() -> None:
    for method in ("rtn", "hqq", "gptq"):
        config = quantize_onnx_4bit.Config(method=method)
        assert quantize_onnx_4bit.STAGE.reads_data(config) == (method == "gptq")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"calibration_rows": 8}, "calibration_rows does nothing with method: rtn; leave it out, or take gptq"),
        ({"method": "hqq", "calibration_rows": 8}, "calibration_rows does nothing with method: hqq"),
        ({"method": "hqq", "accuracy_level": 4}, "accuracy_level does nothing with method: hqq; .* take rtn or gptq"),
        ({"method": "hqq", "symmetric": False, "embeddings": False}, "symmetric does nothing with method: hqq"),
    ],
)
def test_settings_that_do_nothing_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        quantize_onnx_4bit.Config(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "gptq", "calibration_rows": 8, "accuracy_level": 4},
        {"method": "hqq", "accuracy_level": 1},
        {"method": "hqq", "symmetric": False},  # of tables
        {"accuracy_level": 4, "symmetric": False, "embeddings": False},
    ],
)
def test_settings_that_do_something_are_taken(settings: dict[str, Any]) -> None:
    assert quantize_onnx_4bit.Config(**settings).model_dump(include=set(settings)) == settings


@pytest.mark.parametrize("method", ["rtn", "hqq"])
def test_int8_arithmetic_changes_what_has_codes_for_zero_points_and_nothing_else(method: str) -> None:
    random = np.random.default_rng(0)
    weights, rows = random.standard_normal((64, 16)).astype(np.float32), random.standard_normal((3, 64))
    blocks = half_quadratic(weights.T, 4, 32) if method == "hqq" else round_to_nearest(weights.T, 4, 32, symmetric=True)
    outputs = []
    for level in (0, 4):
        made = onnx.helper.make_model(
            onnx.helper.make_graph(
                [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
                "product",
                [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3, 64])],
                [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3, 16])],
                [numpy_helper.from_array(weights, "w")],
            ),
            opset_imports=[onnx.helper.make_opsetid("", 17)],
            ir_version=8,
        )
        put_blocks(made, {"w": blocks}, matrices(made), 4, level)
        outputs.append(graph_session(made).run(None, {"x": rows.astype(np.float32)})[0])
    assert np.array_equal(*outputs) == (method == "hqq")
