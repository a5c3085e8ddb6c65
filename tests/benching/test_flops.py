"""Counted operations against 2 x M x K x N, and one way of counting against the other."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compress.benching.flops import onnx_flops, profile, torch_flops
from compress.context import Context
from compress.stages import export_onnx, quantize_bnb
from compress.store.artifacts import Artifact
from tests.chain import Chain

Array = np.ndarray[Any, Any]
TASK = "text-classification"


def floats(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def bytes_of(*shape: int, kind: type = np.uint8) -> Array:
    return np.random.default_rng(0).integers(0, 99, shape).astype(kind)


SCALE, ZERO = np.float32(0.1), np.uint8(3)
MS = "com.microsoft"


def write_graph(path: Path, nodes: list[Any], inputs: Mapping[str, Array], constants: Mapping[str, Array]) -> None:
    graph = helper.make_graph(
        nodes,
        "made",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ],
        [onnx.ValueInfoProto(name=name) for node in nodes for name in node.output],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))


@pytest.fixture
def count(tmp_path: Path) -> Callable[..., dict[str, float]]:
    """The operations of one operator on its inputs and constants, in this order."""

    def counted(
        kind: str, inputs: Mapping[str, Array], constants: Mapping[str, Array], domain: str = "", **attributes: Any
    ) -> dict[str, float]:
        node = helper.make_node(kind, [*inputs, *constants], ["y"], domain=domain, **attributes)
        write_graph(tmp_path / "model.onnx", [node], inputs, constants)
        return onnx_flops(tmp_path / "model.onnx", inputs)

    return counted


@pytest.mark.parametrize(
    ("kind", "left", "right", "attributes", "expected"),
    [
        ("MatMul", (2, 5, 8), (8, 6), {}, 2 * 2 * 5 * 8 * 6),
        ("MatMul", (2, 3, 5, 8), (2, 3, 8, 4), {}, 2 * 2 * 3 * 5 * 8 * 4),
        ("MatMul", (5, 8), (3, 8, 4), {}, 2 * 3 * 5 * 8 * 4),
        ("MatMul", (8,), (8, 4), {}, 2 * 8 * 4),
        ("Gemm", (7, 8), (8, 6), {}, 2 * 7 * 8 * 6),
        ("Gemm", (7, 8), (6, 8), {"transB": 1}, 2 * 7 * 8 * 6),
        ("Gemm", (8, 7), (8, 6), {"transA": 1}, 2 * 7 * 8 * 6),
        ("FusedMatMul", (2, 5, 8), (2, 6, 8), {"transB": 1, "domain": MS}, 2 * 2 * 5 * 8 * 6),
        ("FusedMatMul", (2, 8, 5), (2, 8, 6), {"transA": 1, "domain": MS}, 2 * 2 * 5 * 8 * 6),
    ],
)
@pytest.mark.parametrize("is_constant", [True, False])
def test_a_product_of_floats_counts_two_operations_a_multiplication(
    kind: str,
    left: tuple[int, ...],
    right: tuple[int, ...],
    attributes: dict[str, Any],
    expected: int,
    is_constant: bool,
    count: Callable[..., dict[str, float]],
) -> None:
    x, w = {"x": floats(*left)}, {"w": floats(*right)}
    found = count(kind, x, w, **attributes) if is_constant else count(kind, x | w, {}, **attributes)
    assert found == {"fp32": expected}


@pytest.mark.int8
def test_products_of_bytes_count_as_int8(count: Callable[..., dict[str, float]]) -> None:
    left, weights = {"x": bytes_of(2, 5, 8)}, {"w": bytes_of(8, 6, kind=np.int8)}
    scales = {"ws": np.full(6, 0.1, np.float32), "wz": np.zeros(6, np.int8)}
    expected = {"int8": 2 * 2 * 5 * 8 * 6}
    assert count("MatMulInteger", left, weights) == expected
    assert count("DynamicQuantizeMatMul", {"x": floats(2, 5, 8)}, weights | scales, MS) == expected
    to_float = weights | {"xs": SCALE, "ws": SCALE, "xz": ZERO, "wz": np.int8(0)}
    assert count("MatMulIntegerToFloat", left, to_float, MS) == expected
    linear = {"xs": SCALE, "xz": ZERO, **weights, "ws": SCALE, "wz": np.int8(0), "ys": SCALE, "yz": ZERO}
    assert count("QLinearMatMul", left, linear) == expected


@pytest.mark.int8
@pytest.mark.parametrize(
    ("level", "kind"), [({"accuracy_level": 4}, "int8"), ({"accuracy_level": 1}, "fp32"), ({}, "fp32")]
)
def test_4_bit_products_count_as_what_they_compute_in(
    level: dict[str, int], kind: str, count: Callable[..., dict[str, float]]
) -> None:
    constants = {"w": bytes_of(6, 2, 8), "scales": np.full((6, 2), 0.1, np.float32)}
    found = count("MatMulNBits", {"x": floats(3, 5, 32)}, constants, MS, K=32, N=6, bits=4, block_size=16, **level)
    assert found == {kind: 2 * 3 * 5 * 32 * 6}


def test_fused_attention_counts_its_projection_and_its_two_products(count: Callable[..., dict[str, float]]) -> None:
    constants = {"w": floats(8, 24), "b": floats(24), "mask": np.ones((2, 5), np.int32)}
    found = count("Attention", {"x": floats(2, 5, 8)}, constants, MS, num_heads=2)
    assert found == {"fp32": 2 * 2 * 5 * 8 * 24 + 2 * (2 * 2 * 5 * 5 * 8)}
    without_bias = count("Attention", {"x": floats(2, 5, 8)}, {"w": floats(8, 24)}, MS, num_heads=2)
    assert without_bias == found


def test_what_is_no_product_does_not_count(count: Callable[..., dict[str, float]]) -> None:
    assert count("Add", {"x": floats(2, 5, 8)}, {"w": floats(8)}) == {}
    assert count("Softmax", {"x": floats(2, 5, 8)}, {}) == {}


@pytest.mark.int8
def test_formats_are_added_up_apart(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("MatMul", ["y", "v"], ["z"]),
        helper.make_node("MatMulInteger", ["i", "u"], ["j"]),
    ]
    inputs = {"x": floats(2, 3), "i": bytes_of(7, 8)}
    constants = {"w": floats(3, 4), "v": floats(4, 5), "u": bytes_of(8, 9, kind=np.int8)}
    write_graph(tmp_path / "model.onnx", nodes, inputs, constants)
    expected = {"fp32": 2 * 2 * 3 * 4 + 2 * 2 * 4 * 5, "int8": 2 * 7 * 8 * 9}
    assert onnx_flops(tmp_path / "model.onnx", inputs) == expected
    one, last_of_three = (profile(tmp_path / "model.onnx", inputs, runs=runs) for runs in (1, 3))
    assert [event["args"]["op_name"] for event in last_of_three] == [event["args"]["op_name"] for event in one]
    assert last_of_three[0]["ts"] > one[-1]["ts"] - one[0]["ts"] >= 0


def batch_of(length: int, rows: int = 1) -> dict[str, Array]:
    ones = np.ones((rows, length), np.int64)
    return {"input_ids": ones, "attention_mask": ones, "token_type_ids": ones * 0}


def encoder_flops(length: int, layers: int, hidden: int, neurons: int, classes: int) -> int:
    """Four projections, two products of attention and two of the feed-forward a layer; pooler and head on one token."""
    layer = 8 * length * hidden**2 + 4 * length**2 * hidden + 4 * length * hidden * neurons
    return layers * layer + 2 * hidden**2 + 2 * hidden * classes


@pytest.mark.parametrize(("length", "rows"), [(16, 1), (9, 3)])
def test_a_berts_operations_are_those_of_the_formula(length: int, rows: int, tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(vocab_size=50, **sizes, num_labels=5)).save_pretrained(tmp_path)
    found = torch_flops(tmp_path, TASK, batch_of(length, rows), "bf16", trust_remote_code=False)
    head = 2 * 32**2 + 2 * 32 * 5
    textbook = 24 * 3 * length * 32**2 + 4 * 3 * length**2 * 32  # four times as many neurons as hidden units
    assert found == {"bf16": rows * (textbook + head)}
    assert textbook + head == encoder_flops(length, 3, 32, 128, 5)


def total(counts: Mapping[str, float]) -> float:
    return math.fsum(counts.values())


@pytest.mark.int8
def test_quantizing_changes_the_format_of_operations_and_not_their_number(chain: Chain) -> None:
    batch = batch_of(16, rows=2)
    float_, int8, static, int4 = (
        onnx_flops(chain.artifacts[name].path / "model.onnx", batch) for name in ("onnx", "int8", "static", "int4")
    )
    assert total(float_) == total(int8) == total(static) == total(int4)
    assert set(float_) == {"fp32"}
    assert int8["fp32"] == 2 * 4 * 16**2 * 16  # what is left in float is attention: 2 rows, 2 heads of 8
    assert int8["int8"] == static["int8"] == int4["int8"]


def test_an_export_has_the_operations_of_its_model_fused_or_not(chain: Chain, tmp_path: Path) -> None:
    def never(*_: Any) -> Artifact:
        raise AssertionError("an export keeps no by-products")

    context = Context(chain.plan.task, 0, "cpu", False, tmp_path, lambda *_: None, never)
    teacher = chain.artifacts["teacher"]
    batch = batch_of(16)
    counted, attentions = [], []
    for fuse in ("always", "never"):
        out = tmp_path / fuse
        out.mkdir()
        export_onnx.run(model=teacher, config=export_onnx.Config(fuse=fuse), context=context, out=out)
        counted.append(onnx_flops(out / "model.onnx", batch))
        ran = profile(out / "model.onnx", batch)
        attentions.append(sum(event["args"]["op_name"] == "Attention" for event in ran))
    assert attentions == [2, 0]
    assert counted[0] == counted[1] == {"fp32": encoder_flops(16, 2, 32, 64, 2)}
    assert torch_flops(teacher.path, TASK, batch, "fp32", trust_remote_code=False) == counted[0]


def test_a_pruned_model_has_the_operations_of_its_export(chain: Chain) -> None:
    batch = batch_of(11)
    exported = onnx_flops(chain.artifacts["onnx"].path / "model.onnx", batch)
    assert torch_flops(chain.artifacts["pruned"].path, TASK, batch, "fp32", trust_remote_code=False) == exported
    assert total(exported) < encoder_flops(11, 1, 32, 64, 2)


def test_bitsandbytes_weights_change_no_count(chain: Chain, tmp_path: Path) -> None:
    batch = batch_of(16)
    teacher, nf4 = (
        torch_flops(chain.artifacts[name].path, TASK, batch, "fp32", trust_remote_code=False)
        for name in ("teacher", "nf4")
    )
    assert nf4 == teacher

    def never(*_: Any) -> Artifact:
        raise AssertionError("quantizing keeps no by-products")

    context = Context(chain.plan.task, 0, "cpu", False, tmp_path, lambda *_: None, never)
    quantize_bnb.run(
        model=chain.artifacts["teacher"], config=quantize_bnb.Config(bits=8), context=context, out=tmp_path
    )
    int8 = torch_flops(tmp_path, TASK, batch, "fp32", trust_remote_code=False)
    assert total(int8) == total(teacher)
    assert int8["int8"] == 2 * (2 * 16 * (4 * 32 * 32 + 2 * 32 * 64)) + 2 * 32 * 32  # all but attention and the head
