"""Findings: for each a small graph with the defect and one without, run by onnxruntime; rates are made up."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.bench.flops import profile
from compress.bench.machine import Kernel
from compress.doctor import diagnosis, eager, executed, products
from compress.doctor.advice import Finding
from compress.doctor.diagnosis import by_cost, diagnose, padding_waste, slow_threads
from compress.doctor.examined import interleaved
from compress.doctor.executed import Node, Product, Subject, read_events, unfused_attention
from compress.doctor.graph import time_operator
from compress.models.onnx_graph import check_external_data

FLOAT, HALF, IDS = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
Rates = Callable[[Sequence[Kernel]], list[float]]


def same_rates(kernels: Sequence[Kernel]) -> list[float]:
    """A machine on which nothing is faster than anything else."""
    return [100.0 for _ in kernels]


def rates_of(**kinds: float) -> Rates:
    return lambda kernels: [kinds.get(f"k{item.kind}" if item.kind[0] == "4" else item.kind, 100.0) for item in kernels]


def weights(**arrays: Any) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]


def normal(*shape: int, kind: type = np.float32) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(kind)


def graph(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[TensorProto] = (),
    taken: tuple[int, Sequence[int | str]] = (FLOAT, ("batch", "tokens", 64)),
    given: int = FLOAT,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of one input `x` and one output `y`."""
    made = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info("x", *taken)],
        [helper.make_tensor_value_info("y", given, None)],
        list(constants),
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


node = helper.make_node


@pytest.fixture
def subject(tmp_path: Path) -> Callable[..., Subject]:
    """Runs a model on `x` and gives what the checks read; `us` sets the time of operators by their kind."""

    def run(
        model: onnx.ModelProto, x: np.ndarray[Any, Any] | None = None, us: dict[str, float] | None = None, **given: Any
    ) -> Subject:
        path = tmp_path / "made.onnx"
        onnx.save(model, path)
        batch = {"x": normal(1, 32, 64) if x is None else x}
        nodes = read_events([profile(path, batch, 1, 2)])
        if us is not None:
            nodes = [item._replace(us=us.get(item.op, 0.0)) for item in nodes]
        settings = {"latency_ms": {1: 1.0}, "rates": same_rates, "operator": lambda *_: 1.0, **given}
        return Subject(model=model, nodes=nodes, threads=1, length=32, **settings)

    return run


def two_layers(width: int = 96) -> onnx.ModelProto:
    return graph(
        [node("MatMul", ["x", "up"], ["h"]), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "down"], ["y"])],
        weights(up=normal(64, width), down=normal(width, 64)),
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


def fused_graph() -> onnx.ModelProto:
    nodes = [node("MatMul", ["x", f"w{role}"], [role]) for role in "qkv"]
    nodes.append(node("MultiHeadAttention", ["q", "k", "v"], ["mixed"], domain="com.microsoft", num_heads=4))
    nodes.append(node("MatMul", ["mixed", "wo"], ["y"]))
    return graph(nodes, weights(**{f"w{role}": normal(64, 64) for role in "qkvo"}))


@pytest.mark.parametrize("masked", [True, False])
def test_attention_in_single_operators_is_found_with_what_fusing_would_save(subject, masked):
    asked = []

    def operator(op, shape, heads):
        asked.append((op, shape, heads))
        return 30.0

    us = {"Softmax": 20.0, "Transpose": 10.0, "FusedMatMul": 5.0, "MatMul": 10.0}
    made = subject(attention_graph(masked), us=us, operator=operator)
    found = diagnosis.attention(made)
    assert asked == [("MultiHeadAttention", (1, 32, 64), 4)]
    assert found is not None
    assert found.what == "attention is not fused in 1 of 1 layers"
    inside = sum(item.us for item in made.nodes if len(item.shape) == 4)
    assert found.cost == pytest.approx((inside - 30) / made.total_us)
    assert "fused into one operator, 0.03 ms here" in found.evidence
    assert "fusing is not always faster" in found.fix


def test_attention_that_is_no_faster_fused_costs_nothing(subject):
    found = diagnosis.attention(subject(attention_graph(), operator=lambda *_: 1e9))
    assert found is not None
    assert found.cost == 0
    assert found.evidence.endswith("fusing would win little")


def test_fused_attention_and_a_softmax_at_the_end_are_no_unfused_attention(subject):
    assert diagnosis.attention(subject(fused_graph())) is None
    last = graph([node("MatMul", ["x", "w"], ["h"]), node("Softmax", ["h"], ["y"])], weights(w=normal(64, 4)))
    assert diagnosis.attention(subject(last)) is None
    assert unfused_attention(attention_graph().graph) == ["softmax"]


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


def int8_graph() -> onnx.ModelProto:
    return graph(
        [node("DynamicQuantizeMatMul", ["x", "w", "scale", "zero"], ["y"], domain="com.microsoft")],
        weights(w=np.ones((64, 96), np.int8), scale=np.full(96, 0.1, np.float32), zero=np.zeros(96, np.int8)),
    )


def test_int8_that_does_not_pay_here_is_found(subject):
    found = products.number_format(subject(int8_graph(), rates=rates_of(fp32=200.0, int8_dynamic=100.0)))
    assert found is not None
    assert (found.what, found.cost) == ("the matrix products run in dynamic int8, and fp32 is faster here", 0.5)
    assert found.fix == "ship the float export; int8 saves size only on this machine"
    assert products.number_format(subject(int8_graph(), rates=rates_of(fp32=50.0))) is None


def static_graph(form: str) -> onnx.ModelProto:
    """A product of activations in a known range: in onnxruntime's own operator, or in pairs that it makes one of."""
    constants = weights(
        w=np.ones((64, 96), np.int8),
        scale=np.full(96, 0.1, np.float32),
        zero=np.zeros(96, np.int8),
        x_scale=np.float32(0.02),
        x_zero=np.uint8(128),
    )
    rounded = node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["q"])
    if form == "operators":
        inputs = ["q", "w", "x_scale", "scale", "x_zero", "zero"]
        return graph([rounded, node("MatMulIntegerToFloat", inputs, ["y"], domain="com.microsoft")], constants)
    pairs = [
        node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["read"]),
        node("DequantizeLinear", ["w", "scale", "zero"], ["weights"], axis=1),
        node("MatMul", ["read", "weights"], ["y"]),
    ]
    return graph([rounded, *pairs], constants)


def attention_in_int8(rounds: str) -> onnx.ModelProto:
    """QAttention, which never rounds itself, behind what rounds in a known range or in that of each call."""
    constants = weights(
        w=np.ones((64, 192), np.int8),
        bias=np.zeros(192, np.float32),
        scale=np.full(192, 0.1, np.float32),
        zero=np.zeros(192, np.int8),
        **({"s": np.float32(0.02), "z": np.uint8(128)} if rounds == "QuantizeLinear" else {}),
    )
    first = node(rounds, ["x", "s", "z"], ["q"]) if rounds == "QuantizeLinear" else node(rounds, ["x"], ["q", "s", "z"])
    inputs = ["q", "w", "bias", "s", "scale", "", "z", "zero"]
    return graph([first, node("QAttention", inputs, ["y"], domain="com.microsoft", num_heads=4)], constants)


def dynamic_for_two() -> onnx.ModelProto:
    """Rounds once for two products, which onnxruntime writes with the operator of known ranges."""
    nodes = [node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])]
    for name in "ab":
        nodes += [
            node("MatMulInteger", ["q", f"w{name}", "z"], [f"sums{name}"]),
            node("Cast", [f"sums{name}"], [f"floats{name}"], to=FLOAT),
            node("Mul", ["s", f"scale{name}"], [f"scales{name}"]),
            node("Mul", [f"floats{name}", f"scales{name}"], [f"h{name}"]),
        ]
    constants = {f"w{name}": np.ones((64, 96), np.int8) for name in "ab"}
    scales = {"scalea": np.float32(0.1), "scaleb": np.float32(0.2)}
    return graph([*nodes, node("Add", ["ha", "hb"], ["y"])], weights(**constants, **scales))


@pytest.mark.parametrize(
    ("model", "operator", "kind"),
    [
        (int8_graph(), "DynamicQuantizeMatMul", "int8_dynamic"),
        (static_graph("operators"), "MatMulIntegerToFloat", "int8_static"),
        (static_graph("pairs"), "MatMulIntegerToFloat", "int8_static"),
        (dynamic_for_two(), "MatMulIntegerToFloat", "int8_dynamic"),
        (attention_in_int8("QuantizeLinear"), "QAttention", "int8_static"),
        (attention_in_int8("DynamicQuantizeLinear"), "QAttention", "int8_dynamic"),
    ],
)
def test_int8_is_told_by_where_ranges_come_from(subject, model, operator, kind):
    made = subject(model)
    assert operator in {item.op for item in made.nodes}
    assert {item.kind for item in executed.products(made)} == {kind}


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


def test_4_bit_products_in_int8_are_found_where_float_is_faster(subject):
    found = products.accuracy_level(subject(four_bit_graph(4), rates=rates_of(k4bit=100.0, k4bit_float=150.0)))
    assert found is not None
    assert found.what == "4-bit products have accuracy_level 4: they are computed in int8, and float is faster here"
    assert found.evidence == "they take 100% of the time; with accuracy_level 0 (float) they run 1.5x as fast"
    assert found.fix.startswith("compress quantize FLOAT --how onnx_4bit --accuracy-level 0")
    assert found.cost == pytest.approx(1 / 3)
    assert products.accuracy_level(subject(four_bit_graph(4))) is None
    assert products.accuracy_level(subject(int8_graph())) is None


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
    made = Subject(
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


def test_products_left_in_float_are_found_in_quantized_graphs_alone(subject):
    found = products.left_in_float(subject(mixed_graph(left=True), us={"MatMul": 30.0, "DynamicQuantizeMatMul": 70.0}))
    assert found is not None
    assert found.what == "1 matrix products with weights stayed in float in a quantized graph"
    assert found.cost == pytest.approx(0.3)
    assert products.left_in_float(subject(mixed_graph(left=False))) is None
    assert products.left_in_float(subject(two_layers())) is None


def test_fp16_graphs_and_many_casts_are_found(subject):
    half = graph(
        [node("MatMul", ["x", "w"], ["y"])], weights(w=normal(64, 96, kind=np.float16)), (HALF, [1, 32, 64]), HALF
    )
    found = diagnosis.casts(subject(half, normal(1, 32, 64, kind=np.float16)))
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
    found = diagnosis.casts(subject(there_and_back, us={"Cast": 10.0, "Sin": 80.0}))
    assert found is not None
    assert (found.what, found.cost) == ("number formats change back and forth", pytest.approx(0.2))
    assert diagnosis.casts(subject(two_layers())) is None


def lookup(dequantize_first: bool) -> onnx.ModelProto:
    order = (
        [node("DequantizeLinear", ["table", "s", "z"], ["whole"]), node("Gather", ["whole", "x"], ["y"])]
        if dequantize_first
        else [node("Gather", ["table", "x"], ["rows"]), node("DequantizeLinear", ["rows", "s", "z"], ["y"])]
    )
    table = weights(table=np.ones((3000, 64), np.uint8), s=np.float32(0.1), z=np.uint8(1))
    return graph(order, table, (IDS, [1, "tokens"]))


def test_tables_that_are_dequantized_whole_are_found(subject):
    found = diagnosis.dequantized_tables(subject(lookup(True), np.ones((1, 8), np.int64)))
    assert found is not None
    assert found.what == "large weights are dequantized in every call, the largest 3000 x 64"
    assert found.cost is not None
    assert diagnosis.dequantized_tables(subject(lookup(False), np.ones((1, 8), np.int64))) is None


def test_slow_lookups_in_4_bit_tables_are_found():
    ids = (("int64", (1, 8)),)
    rows = (("float", (1, 8, 64)),)
    found = diagnosis.packed_tables(
        hand_made(Node("GatherBlockQuantized", "a", 20.0, ids, rows), Node("Relu", "b", 80.0, rows, rows))
    )
    assert found is not None
    assert found.cost == pytest.approx(0.2)
    assert diagnosis.packed_tables(hand_made(Node("Gather", "a", 20.0, ids, rows))) is None


def hand_made(*nodes: Node, **given: Any) -> Subject:
    settings = {"latency_ms": {1: 1.0}, "rates": same_rates, "operator": lambda *_: 1.0, **given}
    return Subject(model=graph([node("Relu", ["x"], ["y"])]), nodes=nodes, threads=1, length=8, **settings)


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


def test_rounding_in_nodes_of_its_own_is_found_and_folded_rounding_is_not(subject):
    made = subject(
        rounding_graph(), us={"DynamicQuantizeLinear": 20.0, "MatMulInteger": 60.0, "Cast": 10.0, "Mul": 10.0}
    )
    found = diagnosis.rounding(made)
    assert found is not None
    assert found.cost == pytest.approx(0.4)
    assert "(Cast, DynamicQuantizeLinear, Mul)" in found.evidence
    assert diagnosis.rounding(subject(int8_graph())) is None


def skip_graph(fused: bool) -> onnx.ModelProto:
    constants = weights(scale=np.ones(64, np.float32), shift=np.zeros(64, np.float32), other=normal(1, 32, 64))
    if fused:
        norm = node("SkipLayerNormalization", ["x", "other", "scale", "shift"], ["y"], domain="com.microsoft")
        return graph([norm], constants, (FLOAT, [1, 32, 64]))
    return graph([node("LayerNormalization", ["x", "scale", "shift"], ["y"])], constants)


def test_a_fused_norm_that_is_slower_than_its_parts_is_found(subject):
    times = {"SkipLayerNormalization": 100.0, "Add+LayerNormalization": 25.0}
    found = diagnosis.skip_norm(subject(skip_graph(True), operator=lambda op, *_: times[op]))
    assert found is not None
    assert found.cost == pytest.approx(0.75)
    assert "compress export MODEL, which keeps the two apart" in found.fix
    assert diagnosis.skip_norm(subject(skip_graph(True), operator=lambda *_: 50.0)) is None
    assert diagnosis.skip_norm(subject(skip_graph(False))) is None
    rows = (("float", (1, 8, 64)),)
    while_loading = hand_made(Node("SkipLayerNormalization", "n", 9.0, rows, rows), operator=lambda op, *_: times[op])
    found = diagnosis.skip_norm(while_loading)
    assert found is not None
    assert "SkipLayerNormFusion" in found.fix, "the file holds no such node: onnxruntime made it"


def test_shapes_worked_out_in_every_call_are_found(subject):
    shapes = graph(
        [node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "last"], ["y"])],
        weights(last=np.int64(2)),
        given=IDS,
    )
    found = diagnosis.shape_arithmetic(subject(shapes))
    assert found is not None
    assert found.evidence.startswith("2 of 2 nodes do so, and take ")
    assert diagnosis.shape_arithmetic(subject(two_layers())) is None


def test_time_outside_of_products_is_found_by_operator(subject):
    found = diagnosis.other_work(subject(two_layers(), us={"MatMul": 20.0, "Relu": 60.0}))
    assert found is not None
    assert found.what == "60% of the time goes to other than matrix products and attention"
    assert (found.evidence, found.cost) == ("Relu 60%", None)
    assert "fewer layers" in found.fix
    assert diagnosis.other_work(subject(two_layers(), us={"MatMul": 40.0, "Relu": 20.0})) is None
    gelu = graph([node("Erf", ["x"], ["y"])])
    found = diagnosis.other_work(subject(gelu))
    assert found is not None
    assert "one operator each of Gelu" in found.fix


def test_numbers_of_threads():
    best = slow_threads({1: 4.0, 2: 10.0, 4: 12.0}, 2, busy_cores=0.0)
    assert best is not None
    assert best == Finding(
        "1 thread is faster than 2", "4.00 ms on 1, 10.00 ms on 2, 12.00 ms on 4", "set threads: 1", 0.6
    )
    few = slow_threads({1: 10.0, 4: 9.0}, 4, busy_cores=0.0)
    assert few is not None
    assert (few.what, few.cost) == ("4 threads are only 1.1x as fast as one", None)
    assert slow_threads({1: 10.0, 2: 5.5, 4: 6.0}, 2, busy_cores=0.0) is None
    assert slow_threads({1: 10.0, 2: 20.0}, 1, busy_cores=0.0) is None
    spoilt = slow_threads({1: 4.0, 2: 10.0}, 2, busy_cores=1.2)
    assert spoilt is not None
    assert spoilt.evidence.endswith("but 1.2 cores were busy with other work meanwhile")
    assert (spoilt.cost, spoilt.fix[:16]) == (None, "run doctor again")


def test_padding_at_a_fixed_length():
    rows = [10] * 6 + [50] * 4  # 60 + 128 tokens of 320 at 32 a row
    found = padding_waste(rows, 32, None, (10, 1.0), 4.0)
    assert found is not None
    assert found.what == "at 32 tokens a row, 41% of the tokens computed are padding"
    assert found.evidence == "half of 10 rows have 10 tokens or fewer: 10 tokens take 1.00 ms, 32 take 4.00 ms"
    assert found.cost == 0.75
    bound = padding_waste(rows, 32, 32, None, 4.0)
    assert bound is not None
    assert bound.cost == pytest.approx(1 - 188 / 320)
    assert "the graph takes 32 and nothing else" in bound.evidence
    assert padding_waste([32, 40], 32, None, None, 4.0) is None


def test_a_fixed_length_is_told_without_rows_too(subject):
    found = diagnosis.padding(subject(two_layers(), fixed_length=32))
    assert found is not None
    assert found.what == "the graph takes 32 tokens a row and nothing else"
    assert diagnosis.padding(subject(two_layers())) is None
    assert diagnosis.padding(subject(two_layers(), row_tokens=[32, 32])) is None


def test_old_graphs_and_weights_that_can_be_fed_are_found(subject):
    old = graph([node("Relu", ["x"], ["y"])], opset=11)
    found = diagnosis.age(subject(old))
    assert found is not None
    assert found.what == "the graph is of an old kind (opset 11, IR 8)"
    assert diagnosis.age(subject(two_layers())) is None
    fed = two_layers()
    fed.graph.input.append(helper.make_tensor_value_info("up", FLOAT, [64, 96]))
    found = diagnosis.age(Subject(fed, [], 1, 32, {1: 1.0}, same_rates, lambda *_: 1.0))
    assert found is not None
    assert found.evidence == "1 weights are also inputs, so onnxruntime may neither fold nor pack them"


def test_weights_in_a_file_of_their_own_are_told(subject, tmp_path):
    path = tmp_path / "big.onnx"
    onnx.save(two_layers(), path, save_as_external_data=True, location="big.data", size_threshold=0)
    assert check_external_data(path) == ["big.data"]
    found = diagnosis.external_data(subject(two_layers(), external={"big.data": 49_152_000}))
    assert found is not None
    assert found.evidence.startswith("big.data (49.2 MB)")
    assert diagnosis.external_data(subject(two_layers(), external={})) is None
    assert diagnosis.external_data(subject(two_layers(), external={"big.data": 3 * 2**30})) is None


def test_nodes_that_cuda_leaves_to_the_processor_are_found():
    rows = (("float", (1, 8, 64)),)
    on_gpu = Node("MatMul", "a", 60.0, rows, rows, "CUDAExecutionProvider")
    left = Node("Where", "b", 10.0, rows, rows, "CPUExecutionProvider")
    copy = Node("MemcpyToHost", "c", 30.0, rows, rows, "CUDAExecutionProvider")
    found = diagnosis.not_on_cuda(hand_made(cuda=[on_gpu, left, left, copy]))
    assert found is not None
    assert found.what == "on CUDA, 2 of 4 nodes run on the processor, with 1 copies between"
    assert found.evidence == "2 Where: 45% of the time there"
    assert diagnosis.not_on_cuda(hand_made(cuda=[on_gpu])) is None
    assert diagnosis.not_on_cuda(hand_made(cuda=None)) is None, "without CUDA nothing is said"


def test_the_costliest_finding_is_first_and_unknown_costs_are_last():
    one, two, three = Finding("a", "", "", None), Finding("b", "", "", 0.1), Finding("c", "", "", 0.5)
    assert by_cost([one, None, two, three]) == [three, two, one]


def test_a_graph_without_defects_gives_no_finding(subject):
    assert diagnose(subject(fused_graph(), us={"MatMul": 10.0, "MultiHeadAttention": 10.0})) == []


def test_the_shortest_time_of_each_node_counts():
    def event(name: str, dur: int, op: str = "MatMul") -> dict[str, Any]:
        shapes = {"input_type_shape": [{"float": [1, 8]}], "output_type_shape": [{"float": [1, 4]}]}
        return {"name": f"{name}_kernel_time", "dur": dur, "args": {"op_name": op, "provider": "P", **shapes}}

    passes = [[event("a", 9), event("b", 5, "If")], [event("a", 7), event("b", 6, "If")]]
    assert read_events(passes) == [Node("MatMul", "a", 7.0, (("float", (1, 8)),), (("float", (1, 4)),), "P")]


def test_of_two_turns_the_better_counts():
    times = iter([3.0, 8.0, 5.0, 2.0])
    assert interleaved([lambda: next(times), lambda: next(times)]) == [3.0, 2.0]


@pytest.mark.parametrize("op", ["MultiHeadAttention", "SkipLayerNormalization", "Add+LayerNormalization"])
def test_operators_can_be_timed_alone(op, monkeypatch):
    monkeypatch.setattr("compress.doctor.graph.OPERATOR_SECONDS", 0.0)
    assert time_operator(1, op, (1, 8, 32), heads=2) > 0


def test_torch_is_held_against_onnxruntime_at_its_own_widths():
    linear = [Product("fp32", 128, 64, 128, 40.0), Product("fp32", 128, 128, 64, 40.0)]
    operations = 2 * 2 * 128 * 64 * 128
    found = eager.eager(linear, 300, 1.0, 2, 100.0, lambda kernels: [20.0] * len(kernels), is_packed=False)
    onnx_ms = operations / 20.0 / 1e6
    assert found.cost == pytest.approx(0.8 - onnx_ms)
    assert f"its matrix products take 0.80 ms, onnxruntime needs {onnx_ms:.2f} ms" in found.evidence
    packed = eager.eager(linear, 300, 1.0, 2, 100.0, lambda kernels: [20.0] * len(kernels), is_packed=True)
    assert packed.what.startswith("bitsandbytes' weights save memory, not time")


def test_weights_saved_in_half_precision_are_told():
    rates = rates_of(fp32=100.0, fp16=1.0, bf16=180.0)
    slow = eager.number_format({"F16": 10, "F32": 1}, 2, rates)
    assert slow is not None
    assert "fp16 products run at 0.01x fp32's speed here" in slow.evidence
    assert "dtype=torch.float32" in slow.fix
    fast = eager.number_format({"BF16": 10}, 2, rates)
    assert fast is not None
    assert "dtype=torch.bfloat16" in fast.fix
    assert eager.number_format({"F32": 10, "F16": 1}, 2, rates) is None
    assert eager.number_format({}, 2, rates) is None
