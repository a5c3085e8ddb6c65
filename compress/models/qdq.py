"""Matrix products of an ONNX graph in int8, with ranges that were measured before (quantize-dequantize form)."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.models.matrices import Matrix, replace_nodes

Range = tuple[float, float]
OPSET = 13
"""The first that has a scale for each channel."""


def put_qdq(model: onnx.ModelProto, products: Sequence[Matrix], ranges: Mapping[str, Range], largest: int) -> None:
    """Round what matrix products read to 8 bits, in place: ONNX Runtime then multiplies integers.

    Activations become uint8 with one scale for a tensor, matrices int8 with one for each output. Nothing else is
    touched: results stay floats, so that additions, norms and activation functions lose nothing.

    Args:
        products: those to write.
        ranges: least and largest activation by the name of what a product reads.
        largest: magnitude of a weight's code: 127, or 64 where sums of 16 bits could saturate.
    """
    graph = model.graph
    by: dict[str, list[onnx.NodeProto]] = {}
    read: dict[str, list[onnx.NodeProto]] = {}
    known: set[str] = set()
    for product in products:
        source, name, node = product.reads, product.name, product.node
        begin = []
        if source not in read:
            graph.initializer.extend(_activation_constants(source, *ranges[source]))
            read[source] = begin = _round_trip(source)
        if name not in known:
            known.add(name)
            graph.initializer.extend(_matrix_constants(product, largest))
        widened = f"{node.name or node.output[0]}_weights"
        by[node.output[0]] = [
            *begin,
            helper.make_node(
                "DequantizeLinear", [f"{name}_int8", f"{name}_scale", f"{name}_zero_point"], [widened], axis=1
            ),
            helper.make_node("MatMul", [f"{source}_rounded", widened], list(node.output), name=node.name),
        ]
    replace_nodes(model, by)


def _round_trip(source: str) -> list[onnx.NodeProto]:
    constants = [f"{source}_scale", f"{source}_zero_point"]
    return [
        helper.make_node("QuantizeLinear", [source, *constants], [f"{source}_uint8"]),
        helper.make_node("DequantizeLinear", [f"{source}_uint8", *constants], [f"{source}_rounded"]),
    ]


def _activation_constants(source: str, low: float, high: float) -> list[onnx.TensorProto]:
    """Scale and zero point of uint8 numbers from `low` to `high`, 0 among them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return [
        numpy_helper.from_array(np.array(scale, dtype=np.float32), f"{source}_scale"),
        numpy_helper.from_array(np.array(zero, dtype=np.uint8), f"{source}_zero_point"),
    ]


def _matrix_constants(product: Matrix, largest: int) -> list[onnx.TensorProto]:
    """Codes, scales and zero points of a matrix, one scale for each output."""
    scales = np.abs(product.weights).max(0) / largest  # (outputs,)
    codes = np.rint(product.weights / np.where(scales == 0, 1, scales)).astype(np.int8)
    return [
        numpy_helper.from_array(codes, f"{product.name}_int8"),
        numpy_helper.from_array(scales.astype(np.float32), f"{product.name}_scale"),
        numpy_helper.from_array(np.zeros(len(scales), dtype=np.int8), f"{product.name}_zero_point"),
    ]
