"""Findings on matrix products with weights; rates are made up."""

import numpy as np
import onnx
import pytest

from compress.doctor import products
from compress.doctor.executed import Node, ProfiledGraph
from tests.doctor.subjects import graph, int8_graph, node, normal, rates_of, static_graph, two_layers, weights


def test_int8_is_advised_where_it_is_faster_here_by_the_products_own_share(subject):
    fast = subject(two_layers(), us={"MatMul": 40.0, "Relu": 20.0}, rates=rates_of(fp32=100.0, int8_dynamic=400.0))
    found = products.number_format(fast)
    assert found is not None
    assert found.what == "the matrix products run in fp32, and dynamic int8 is faster here"
    assert found.cost == pytest.approx(0.8 * 0.75)
    assert found.evidence == "they take 80% of the time; at their shapes dynamic int8 runs 4.0x as fast"
    assert found.fix.startswith("compress quantize FLOAT, then compare")
    assert products.number_format(subject(two_layers(), rates=rates_of(int8_dynamic=101.0))) is None
    assert products.number_format(subject(two_layers(), rates=rates_of(int8_dynamic=50.0))) is None


@pytest.mark.int8
def test_int8_that_does_not_pay_here_is_found(subject):
    found = products.number_format(subject(int8_graph(), rates=rates_of(fp32=200.0, int8_dynamic=100.0)))
    assert found is not None
    assert (found.what, found.cost) == ("the matrix products run in dynamic int8, and fp32 is faster here", 0.5)
    assert found.fix == "ship the float export; int8 saves size only on this machine"
    assert products.number_format(subject(int8_graph(), rates=rates_of(fp32=50.0))) is None


@pytest.mark.int8
def test_static_int8_is_judged_by_its_own_rate(subject):
    rates = rates_of(fp32=100.0, int8_dynamic=80.0, int8_static=160.0)
    assert products.number_format(subject(static_graph("operators"), rates=rates)) is None
    found = products.number_format(subject(two_layers(), us={"MatMul": 1.0}, rates=rates))
    assert found is not None
    assert found.what == "the matrix products run in fp32, and static int8 is faster here"
    assert found.fix.startswith("compress quantize FLOAT --how onnx_static")
    assert found.cost == pytest.approx(1 - 100 / 160)
    found = products.number_format(subject(int8_graph(), rates=rates))
    assert found is not None
    assert found.what == "the matrix products run in dynamic int8, and static int8 is faster here"
    slow = subject(static_graph("operators"), rates=rates_of(fp32=100.0, int8_dynamic=80.0, int8_static=50.0))
    found = products.number_format(slow)
    assert found is not None
    assert found.what == "the matrix products run in static int8, and fp32 is faster here"


def four_bit_graph(level: int | None) -> onnx.ModelProto:
    settings = {"K": 64, "N": 96, "bits": 4, "block_size": 32} | ({} if level is None else {"accuracy_level": level})
    return graph(
        [node("MatMulNBits", ["x", "w", "scales"], ["y"], domain="com.microsoft", **settings)],
        weights(w=np.full((96, 2, 16), 0x77, np.uint8), scales=np.full((96, 2), 0.1, np.float32)),
    )


@pytest.mark.int8
@pytest.mark.parametrize(("level", "written"), [(None, 0), (0, 0), (1, 1)])
def test_4_bit_products_in_float_are_found_where_int8_is_faster(subject, level, written):
    found = products.accuracy_level(subject(four_bit_graph(level), rates=rates_of(k4bit=300.0, k4bit_float=100.0)))
    assert found is not None
    assert found.what == (
        f"4-bit products have accuracy_level {written}: they are computed in float, and int8 is faster here"
    )
    assert found.evidence == "they take 100% of the time; with accuracy_level 4 (int8) they run 3.0x as fast"
    assert found.fix.startswith("compress quantize FLOAT --how onnx_4bit --accuracy-level 4")
    assert found.cost == pytest.approx(2 / 3)
    assert products.accuracy_level(subject(four_bit_graph(level))) is None


@pytest.mark.int8
def test_4_bit_products_in_int8_are_found_where_float_is_faster(subject):
    found = products.accuracy_level(subject(four_bit_graph(4), rates=rates_of(k4bit=100.0, k4bit_float=150.0)))
    assert found is not None
    assert found.what == "4-bit products have accuracy_level 4: they are computed in int8, and float is faster here"
    assert found.evidence == "they take 100% of the time; with accuracy_level 0 (float) they run 1.5x as fast"
    assert found.fix.startswith("compress quantize FLOAT --how onnx_4bit --accuracy-level 0")
    assert found.cost == pytest.approx(1 / 3)
    assert products.accuracy_level(subject(four_bit_graph(4))) is None
    assert products.accuracy_level(subject(int8_graph())) is None


@pytest.mark.int8
def test_4_bit_products_that_another_format_beats_are_found(subject):
    found = products.number_format(subject(four_bit_graph(4), rates=rates_of(k4bit=100.0, fp32=200.0)))
    assert found is not None
    assert found.what == "the matrix products run in 4 bits, and fp32 is faster here"


def test_widths_that_are_no_multiples_of_16_are_found_where_they_are_slower(subject):
    slower = subject(
        two_layers(90), us={"MatMul": 50.0}, rates=lambda kernels: [50.0 if 90 in item else 100.0 for item in kernels]
    )
    found = products.awkward_widths(slower)
    assert found is not None
    assert found.what == "matrix widths that are no multiples of 16: 90x64, 64x90"
    assert found.cost == pytest.approx(0.5)
    assert found.evidence == "90x64 takes 7 us at 32 tokens, the wider 96x64 takes 4 us"
    assert products.awkward_widths(subject(two_layers(90))) is None, "measured to cost nothing"
    assert products.awkward_widths(subject(two_layers(96), rates=lambda _: [])) is None, "nothing to measure"


def test_a_head_size_that_is_no_multiple_of_16_is_found():
    rows = ("float", (1, 4, 32, 20))
    scores = Node("MatMul", "scores", 10.0, (rows, ("float", (1, 4, 20, 32))), (("float", (1, 4, 32, 32)),))
    made = ProfiledGraph(
        model=graph([node("Relu", ["x"], ["y"])]),
        nodes=[scores],
        threads=1,
        length=32,
        latency_ms={1: 1.0},
        rates=lambda kernels: [50.0 if item.inputs == 20 else 100.0 for item in kernels],
        operator=lambda *_: 1.0,
    )
    found = products.awkward_widths(made)
    assert found is not None
    assert found.evidence == "20x32 takes 1 us at 32 tokens, the wider 32x32 takes 1 us"


def mixed_graph(left: bool) -> onnx.ModelProto:
    model = int8_graph()
    model.graph.node[0].output[0] = "h"
    if left:
        model.graph.node.append(node("MatMul", ["h", "w2"], ["y"]))
    else:
        model.graph.node.append(node("Relu", ["h"], ["y"]))
    model.graph.initializer.extend(weights(w2=normal(96, 64)))
    return model


@pytest.mark.int8
def test_products_left_in_float_are_found_in_quantized_graphs_alone(subject):
    found = products.left_in_float(subject(mixed_graph(left=True), us={"MatMul": 30.0, "DynamicQuantizeMatMul": 70.0}))
    assert found is not None
    assert found.what == "1 matrix products with weights stayed in float in a quantized graph"
    assert found.cost == pytest.approx(0.3)
    assert products.left_in_float(subject(mixed_graph(left=False))) is None
    assert products.left_in_float(subject(two_layers())) is None
