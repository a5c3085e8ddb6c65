"""Small graphs with defects and without, rates that are made up, and what the checks read."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compress.machine.kernels import Kernel

FLOAT, HALF, IDS = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
Rates = Callable[[Sequence[Kernel]], list[float]]
node = helper.make_node


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


def two_layers(width: int = 96) -> onnx.ModelProto:
    return graph(
        [node("MatMul", ["x", "up"], ["h"]), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "down"], ["y"])],
        weights(up=normal(64, width), down=normal(width, 64)),
    )


def fused_graph() -> onnx.ModelProto:
    nodes = [node("MatMul", ["x", f"w{role}"], [role]) for role in "qkv"]
    nodes.append(node("MultiHeadAttention", ["q", "k", "v"], ["mixed"], domain="com.microsoft", num_heads=4))
    nodes.append(node("MatMul", ["mixed", "wo"], ["y"]))
    return graph(nodes, weights(**{f"w{role}": normal(64, 64) for role in "qkvo"}))


def int8_graph() -> onnx.ModelProto:
    return graph(
        [node("DynamicQuantizeMatMul", ["x", "w", "scale", "zero"], ["y"], domain="com.microsoft")],
        weights(w=np.ones((64, 96), np.int8), scale=np.full(96, 0.1, np.float32), zero=np.zeros(96, np.int8)),
    )


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
