"""What was executed of a graph: the times of its nodes, and the kinds of its products."""

from typing import Any

import numpy as np
import onnx
import pytest

from compress.doctor import executed
from compress.doctor.executed import Node, read_events
from tests.doctor.subjects import FLOAT, graph, int8_graph, node, static_graph, weights

pytestmark = pytest.mark.int8


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


def test_the_shortest_time_of_each_node_counts():
    def event(name: str, dur: int, op: str = "MatMul") -> dict[str, Any]:
        shapes = {"input_type_shape": [{"float": [1, 8]}], "output_type_shape": [{"float": [1, 4]}]}
        return {"name": f"{name}_kernel_time", "dur": dur, "args": {"op_name": op, "provider": "P", **shapes}}

    passes = [[event("a", 9), event("b", 5, "If")], [event("a", 7), event("b", 6, "If")]]
    assert read_events(passes) == [Node("MatMul", "a", 7.0, (("float", (1, 8)),), (("float", (1, 4)),), "P")]
