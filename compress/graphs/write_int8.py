"""Matrix products of an ONNX graph as ONNX Runtime's own 8-bit operators."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graphs.matrices import ATTENTION_SETTINGS, Matrix, add_domain, constant_bias, replace_nodes
from compress.ops.int8 import Rounded

DOMAIN = "com.microsoft"
UNSIGNED = 128
"""Zero point of codes that are written as uint8."""

Range = tuple[float, float]


def put_int8(
    model: onnx.ModelProto,
    products: Sequence[Matrix],
    rounded: Mapping[str, Rounded],
    ranges: Mapping[str, Range] | None,
    *,
    unsigned: bool = False,
) -> None:
    """Write products as operators that multiply integers, in place; a MatMul takes its bias along.

    Activations become uint8 with one scale for a tensor. Results are floats, so that additions, norms and activation
    functions lose nothing. An Attention stays one node.

    Args:
        products: the products to write, as `matrices` gives them.
        rounded: the rounded matrices by name.
        ranges: least and largest activation, by the name of the activations. None: each call finds its own range.
        unsigned: write the codes as uint8, 128 for 0.
    """
    add_domain(model, DOMAIN)
    by: dict[str, list[onnx.NodeProto]] = {}
    quantized_inputs: set[str] = set()
    names_in_graph: set[str] = set()
    for product in products:
        begin = []
        if product.reads not in quantized_inputs and (ranges is not None or product.is_attention):
            quantized_inputs.add(product.reads)
            begin = [_quantize(model, product.reads, None if ranges is None else ranges[product.reads])]
        if product.name not in names_in_graph:
            names_in_graph.add(product.name)
            model.graph.initializer.extend(_matrix_constants(product.name, rounded[product.name], unsigned))
        if product.is_attention:
            by[product.node.output[0]] = [*begin, _attention(product)]
            continue
        bias, result = constant_bias(model, product)
        by[product.node.output[0]] = [*begin, _product(product, bias, result, is_static=ranges is not None)]
        if result != product.node.output[0]:
            by[result] = []
    replace_nodes(model, by)


def matrix_names(name: str) -> tuple[str, str, str]:
    """Names of a matrix's codes, scales and zero point."""
    return f"{name}_int8", f"{name}_scale", f"{name}_zero_point"


def activation_names(source: str) -> tuple[str, str, str]:
    """Names of the codes, scale and zero point of activations."""
    return f"{source}_uint8", f"{source}_scale", f"{source}_zero_point"


def activation_constants(source: str, low: float, high: float) -> list[onnx.TensorProto]:
    """Scale and zero point of uint8 numbers from `low` to `high`, 0 among them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    zero = np.clip(np.rint(-low / scale), 0, 255)
    _, scale_name, zero_name = activation_names(source)
    return [
        numpy_helper.from_array(np.array(scale, dtype=np.float32), scale_name),
        numpy_helper.from_array(np.array(zero, dtype=np.uint8), zero_name),
    ]


def _quantize(model: onnx.ModelProto, source: str, span: Range | None) -> onnx.NodeProto:
    """The node that makes activations uint8, in a fixed range or in the range of each call."""
    names = activation_names(source)
    if span is None:
        return helper.make_node("DynamicQuantizeLinear", [source], list(names))
    model.graph.initializer.extend(activation_constants(source, *span))
    return helper.make_node("QuantizeLinear", [source, *names[1:]], [names[0]])


def _product(product: Matrix, bias: str, result: str, *, is_static: bool) -> onnx.NodeProto:
    codes, scale, zero = matrix_names(product.name)
    name = product.node.name
    if not is_static:
        inputs = [product.reads, codes, scale, zero, bias]
        return helper.make_node("DynamicQuantizeMatMul", inputs, [result], name=name, domain=DOMAIN)
    activations, activations_scale, activations_zero = activation_names(product.reads)
    inputs = [activations, codes, activations_scale, scale, activations_zero, zero, bias]
    return helper.make_node("MatMulIntegerToFloat", inputs, [result], name=name, domain=DOMAIN)


def _attention(product: Matrix) -> onnx.NodeProto:
    node = product.node
    codes, scale, zero = matrix_names(product.name)
    activations, activations_scale, activations_zero = activation_names(product.reads)
    bias, mask = node.input[2], node.input[3] if len(node.input) > 3 else ""
    settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return helper.make_node(
        "QAttention",
        [activations, codes, bias, activations_scale, scale, mask, activations_zero, zero],
        list(node.output),
        name=node.name,
        domain=DOMAIN,
        **{key: settings[key] for key in ATTENTION_SETTINGS if key in settings},
    )


def _matrix_constants(name: str, rounded: Rounded, unsigned: bool) -> list[onnx.TensorProto]:
    codes, scales = rounded
    kind, zero = (np.uint8, UNSIGNED) if unsigned else (np.int8, 0)
    tensors = ((codes.astype(np.int16) + zero).astype(kind), scales, np.full(scales.shape, zero, dtype=kind))
    return [
        numpy_helper.from_array(np.ascontiguousarray(tensor), constant_name)
        for tensor, constant_name in zip(tensors, matrix_names(name), strict=True)
    ]
