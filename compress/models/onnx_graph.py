"""What an ONNX graph holds, and the rewriting that stages share."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.errors import InputError

QUANTIZED = (
    "MatMulInteger",
    "DynamicQuantizeLinear",
    "QAttention",
    "QuantizeLinear",
    "QLinearMatMul",
    "MatMulNBits",
    "GatherBlockQuantized",
)


def read_float_graph(path: Path) -> onnx.ModelProto:
    """An ONNX model that is not quantized yet.

    Raises:
        InputError: the file is not ONNX, or its graph is quantized already.
    """
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf and onnx raise classes without a common base
        raise InputError(f"not a readable ONNX file: {error}", where=str(path), fix="export it again") from error
    found = sorted({node.op_type for node in model.graph.node} & set(QUANTIZED))
    if found:
        raise InputError(
            f"the graph is quantized already ({', '.join(found)})",
            where=str(path),
            fix="start from the float export",
        )
    return model


def parameters_in(path: Path) -> int:
    """Number of weights in an ONNX file: elements of its float matrices, quantized ones counted unpacked.

    Scales, zero points and constants of less than two axes are counted only as biases and norms are: as they stand.
    """
    model = onnx.load(str(path), load_external_data=False)
    packed = {
        node.input[position]: _unpacked(node)
        for node in model.graph.node
        if node.op_type in ("MatMulNBits", "GatherBlockQuantized")
        for position in ((1,) if node.op_type == "MatMulNBits" else (0,))
    }
    beside = {
        name
        for node in model.graph.node
        if node.op_type in (*QUANTIZED, "DequantizeLinear")
        for name in _scales_of(node)
    }
    total = 0
    for tensor in model.graph.initializer:
        if tensor.name in beside or tensor.data_type == onnx.TensorProto.INT64:
            continue
        count = int(np.prod(tensor.dims)) if tensor.dims else 1
        total += packed.get(tensor.name) or count
    return total


def _unpacked(node: onnx.NodeProto) -> int | None:
    attributes = {item.name: item.i for item in node.attribute}
    if node.op_type == "MatMulNBits":
        return int(attributes["K"]) * int(attributes["N"])
    return None


def _scales_of(node: onnx.NodeProto) -> list[str]:
    """Names of a quantized node's scales and zero points."""
    positions = {
        "MatMulNBits": range(2, 4),
        "GatherBlockQuantized": range(2, 4),
        "DequantizeLinear": range(1, 3),
        "MatMulInteger": range(2, 4),
        "QAttention": (3, 4, 6, 7),
    }.get(node.op_type, ())
    return [node.input[position] for position in positions if position < len(node.input)]


def split_attention(model: onnx.ModelProto) -> int:
    """Turn each fused Attention into three MatMul and a MultiHeadAttention, in place.

    Attention holds its projection weights inside, where weight-only quantization does not reach them. The result
    computes the same.

    Returns:
        Number of nodes turned.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    count = 0
    for node in graph.node:
        if node.op_type != "Attention" or not set(node.input[1:2]) <= set(weights):
            nodes.append(node)
            continue
        count += 1
        nodes.extend(_split(graph, node, weights))
    del graph.node[:]
    graph.node.extend(nodes)
    return count


def _split(graph: Any, node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> list[onnx.NodeProto]:
    hidden, weight_name, bias_name, *rest = node.input
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    weight = numpy_helper.to_array(weights[weight_name])  # (hidden, query + key + value)
    sizes = attributes.get("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
    parts = np.split(weight, np.cumsum(sizes)[:-1], axis=1)
    made = []
    outputs = []
    for role, part in zip(("query", "key", "value"), parts, strict=True):
        name = f"{weight_name}_{role}"
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(part), name))
        outputs.append(f"{node.output[0]}_{role}")
        made.append(helper.make_node("MatMul", [hidden, name], [outputs[-1]], name=f"{node.name}_{role}"))
    graph.initializer.remove(weights[weight_name])
    kept = {key: attributes[key] for key in ("num_heads", "mask_filter_value", "scale") if key in attributes}
    mask = rest[0] if rest else ""
    made.append(
        helper.make_node(
            "MultiHeadAttention",
            [*outputs, bias_name, mask],
            list(node.output),
            name=f"{node.name}_heads",
            domain="com.microsoft",
            **kept,
        )
    )
    return made
