"""Findings on operators: for each a small graph with the defect and one without, run by onnxruntime."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from compress.doctor import operators
from compress.doctor.executed import Node, ProfiledGraph, unfused_attention
from tests.doctor.subjects import (
    FLOAT,
    HALF,
    IDS,
    fused_graph,
    graph,
    int8_graph,
    node,
    normal,
    same_rates,
    two_layers,
    weights,
)


def attention_graph(masked: bool = True) -> onnx.ModelProto:
    """One layer of 4 heads of 16, written out in single operators."""
    nodes = []
    for role in "qkv":
        nodes += [
            node("MatMul", ["x", f"w{role}"], [f"{role}0"]),
            node("Reshape", [f"{role}0", "heads"], [f"{role}1"]),
            node("Transpose", [f"{role}1"], [role], perm=[0, 2, 3, 1] if role == "k" else [0, 2, 1, 3]),
        ]
    scores = "scaled" if not masked else "masked"
    nodes += [
        node("MatMul", ["q", "k"], ["scores"]),
        node("Div", ["scores", "root"], ["scaled"]),
        *([node("Add", ["scaled", "mask"], ["masked"])] if masked else []),
        node("Softmax", [scores], ["shares"], name="softmax", axis=-1),
        node("MatMul", ["shares", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["turned"], perm=[0, 2, 1, 3]),
        node("Reshape", ["turned", "joined"], ["joint"]),
        node("MatMul", ["joint", "wo"], ["y"]),
    ]
    constants = weights(
        **{f"w{role}": normal(64, 64) for role in "qkvo"},
        heads=np.array([0, 0, 4, 16]),
        joined=np.array([0, 0, 64]),
        root=np.float32(4.0),
        mask=np.zeros((1, 1, 1, 32), np.float32),
    )
    return graph(nodes, constants)


@pytest.mark.parametrize("masked", [True, False])
def test_attention_in_single_operators_is_found_with_what_fusing_would_save(subject, masked):
    asked = []

    def operator(op, shape, heads):
        asked.append((op, shape, heads))
        return 30.0

    us = {"Softmax": 20.0, "Transpose": 10.0, "FusedMatMul": 5.0, "MatMul": 10.0}
    made = subject(attention_graph(masked), us=us, operator=operator)
    found = operators.attention(made)
    assert asked == [("MultiHeadAttention", (1, 32, 64), 4)]
    assert found is not None
    assert found.what == "attention is not fused in 1 of 1 layers"
    inside = sum(item.us for item in made.nodes if len(item.shape) == 4)
    assert found.cost == pytest.approx((inside - 30) / made.total_us)
    assert "fused into one operator, 0.03 ms here" in found.evidence
    assert "fusing is not always faster" in found.fix


def test_attention_that_is_no_faster_fused_costs_nothing(subject):
    found = operators.attention(subject(attention_graph(), operator=lambda *_: 1e9))
    assert found is not None
    assert found.cost == 0
    assert found.evidence.endswith("fusing would win little")


def test_fused_attention_and_a_softmax_at_the_end_are_no_unfused_attention(subject):
    assert operators.attention(subject(fused_graph())) is None
    last = graph([node("MatMul", ["x", "w"], ["h"]), node("Softmax", ["h"], ["y"])], weights(w=normal(64, 4)))
    assert operators.attention(subject(last)) is None
    assert unfused_attention(attention_graph().graph) == ["softmax"]


def test_fp16_graphs_and_many_casts_are_found(subject):
    half = graph(
        [node("MatMul", ["x", "w"], ["y"])], weights(w=normal(64, 96, kind=np.float16)), (HALF, [1, 32, 64]), HALF
    )
    found = operators.casts(subject(half, normal(1, 32, 64, kind=np.float16)))
    assert found is not None
    assert found.what == "the graph is fp16, and onnxruntime computes it as fp32 here"
    assert "Cast nodes take" in found.evidence
    there_and_back = graph(
        [
            node("Cast", ["x"], ["d"], to=TensorProto.DOUBLE),
            node("Sin", ["d"], ["s"]),
            node("Cast", ["s"], ["y"], to=FLOAT),
        ]
    )
    found = operators.casts(subject(there_and_back, us={"Cast": 10.0, "Sin": 80.0}))
    assert found is not None
    assert (found.what, found.cost) == ("number formats change back and forth", pytest.approx(0.2))
    assert operators.casts(subject(two_layers())) is None


def lookup(dequantize_first: bool) -> onnx.ModelProto:
    order = (
        [node("DequantizeLinear", ["table", "s", "z"], ["whole"]), node("Gather", ["whole", "x"], ["y"])]
        if dequantize_first
        else [node("Gather", ["table", "x"], ["rows"]), node("DequantizeLinear", ["rows", "s", "z"], ["y"])]
    )
    table = weights(table=np.ones((3000, 64), np.uint8), s=np.float32(0.1), z=np.uint8(1))
    return graph(order, table, (IDS, [1, "tokens"]))


def test_tables_that_are_dequantized_whole_are_found(subject):
    found = operators.dequantized_tables(subject(lookup(True), np.ones((1, 8), np.int64)))
    assert found is not None
    assert found.what == "large weights are dequantized in every call, the largest 3000 x 64"
    assert found.cost is not None
    assert operators.dequantized_tables(subject(lookup(False), np.ones((1, 8), np.int64))) is None


def test_slow_lookups_in_4_bit_tables_are_found():
    ids = (("int64", (1, 8)),)
    rows = (("float", (1, 8, 64)),)
    found = operators.packed_tables(
        hand_made(Node("GatherBlockQuantized", "a", 20.0, ids, rows), Node("Relu", "b", 80.0, rows, rows))
    )
    assert found is not None
    assert found.cost == pytest.approx(0.2)
    assert operators.packed_tables(hand_made(Node("Gather", "a", 20.0, ids, rows))) is None


def hand_made(*nodes: Node, **given: Any) -> ProfiledGraph:
    settings = {"latency_ms": {1: 1.0}, "rates": same_rates, "operator": lambda *_: 1.0, **given}
    return ProfiledGraph(model=graph([node("Relu", ["x"], ["y"])]), nodes=nodes, threads=1, length=8, **settings)


def rounding_graph() -> onnx.ModelProto:
    """Rounds, multiplies and scales in nodes of their own; the product of two activations keeps them apart."""
    return graph(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            node("MatMulInteger", ["q", "w", "zero"], ["sums"]),
            node("Cast", ["sums"], ["floats"], to=FLOAT),
            node("Mul", ["floats", "scale"], ["scaled"]),
            node("Relu", ["scaled"], ["y"]),
        ],
        weights(w=np.ones((64, 96), np.int8)),
    )


@pytest.mark.int8
def test_rounding_in_nodes_of_its_own_is_found_and_folded_rounding_is_not(subject):
    made = subject(
        rounding_graph(), us={"DynamicQuantizeLinear": 20.0, "MatMulInteger": 60.0, "Cast": 10.0, "Mul": 10.0}
    )
    found = operators.rounding(made)
    assert found is not None
    assert found.cost == pytest.approx(0.4)
    assert "(Cast, DynamicQuantizeLinear, Mul)" in found.evidence
    assert operators.rounding(subject(int8_graph())) is None


def skip_graph(fused: bool) -> onnx.ModelProto:
    constants = weights(scale=np.ones(64, np.float32), shift=np.zeros(64, np.float32), other=normal(1, 32, 64))
    if fused:
        norm = node("SkipLayerNormalization", ["x", "other", "scale", "shift"], ["y"], domain="com.microsoft")
        return graph([norm], constants, (FLOAT, [1, 32, 64]))
    return graph([node("LayerNormalization", ["x", "scale", "shift"], ["y"])], constants)


def test_a_fused_norm_that_is_slower_than_its_parts_is_found(subject):
    times = {"SkipLayerNormalization": 100.0, "Add+LayerNormalization": 25.0}
    found = operators.skip_norm(subject(skip_graph(True), operator=lambda op, *_: times[op]))
    assert found is not None
    assert found.cost == pytest.approx(0.75)
    assert "compress export MODEL, which keeps the two apart" in found.fix
    assert operators.skip_norm(subject(skip_graph(True), operator=lambda *_: 50.0)) is None
    assert operators.skip_norm(subject(skip_graph(False))) is None
    rows = (("float", (1, 8, 64)),)
    while_loading = hand_made(Node("SkipLayerNormalization", "n", 9.0, rows, rows), operator=lambda op, *_: times[op])
    found = operators.skip_norm(while_loading)
    assert found is not None
    assert "SkipLayerNormFusion" in found.fix, "the file holds no such node: onnxruntime made it"


def test_shapes_worked_out_in_every_call_are_found(subject):
    shapes = graph(
        [node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "last"], ["y"])],
        weights(last=np.int64(2)),
        given=IDS,
    )
    found = operators.shape_arithmetic(subject(shapes))
    assert found is not None
    assert found.evidence.startswith("2 of 2 nodes do so, and take ")
    assert operators.shape_arithmetic(subject(two_layers())) is None


def test_what_hashes_n_grams_is_not_told_to_fuse_or_to_lose_layers(subject):
    hashed = graph(
        [node("Shape", ["x"], ["shape"]), node("Mod", ["shape", "buckets"], ["y"])],
        weights(buckets=np.int64(7)),
        given=IDS,
    )
    assert operators.shape_arithmetic(subject(hashed)) is None
    assert operators.other_work(subject(hashed)) is None


def test_time_outside_of_products_is_found_by_operator(subject):
    found = operators.other_work(subject(two_layers(), us={"MatMul": 20.0, "Relu": 60.0}))
    assert found is not None
    assert found.what == "60% of the time goes to other than matrix products and attention"
    assert (found.evidence, found.cost) == ("Relu 60%", None)
    assert "fewer layers" in found.fix
    assert operators.other_work(subject(two_layers(), us={"MatMul": 40.0, "Relu": 20.0})) is None
    gelu = graph([node("Erf", ["x"], ["y"])])
    found = operators.other_work(subject(gelu))
    assert found is not None
    assert "one operator each of Gelu" in found.fix


def test_nodes_that_cuda_leaves_to_the_processor_are_found():
    rows = (("float", (1, 8, 64)),)
    on_gpu = Node("MatMul", "a", 60.0, rows, rows, "CUDAExecutionProvider")
    left = Node("Where", "b", 10.0, rows, rows, "CPUExecutionProvider")
    copy = Node("MemcpyToHost", "c", 30.0, rows, rows, "CUDAExecutionProvider")
    found = operators.not_on_cuda(hand_made(cuda=[on_gpu, left, left, copy]))
    assert found is not None
    assert found.what == "on CUDA, 2 of 4 nodes run on the processor, with 1 copies between"
    assert found.evidence == "2 Where: 45% of the time there"
    assert operators.not_on_cuda(hand_made(cuda=[on_gpu])) is None
    assert operators.not_on_cuda(hand_made(cuda=None)) is None, "without CUDA nothing is said"
