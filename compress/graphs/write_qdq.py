"""Matrix products of an ONNX graph in int8, in quantize-dequantize form, with ranges measured before."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graphs.matrices import Matrix, replace_nodes
from compress.graphs.write_int8 import Range, activation_constants, activation_names, matrix_names
from compress.ops.int8 import Rounded


def put_qdq(
    model: onnx.ModelProto, products: Sequence[Matrix], rounded: Mapping[str, Rounded], ranges: Mapping[str, Range]
) -> None:
    """Round activations and matrices of products to 8 bits, in place, so that runtimes can multiply integers.

    Activations become uint8 with one scale for a tensor, matrices int8 with one scale for each output. Results stay
    floats, so that additions, norms and activation functions lose nothing.

    Args:
        products: the products to write, without Attentions.
        rounded: the rounded matrices by name.
        ranges: least and largest activation, by the name of the activations.
    """
    graph = model.graph
    by: dict[str, list[onnx.NodeProto]] = {}
    rounded_inputs: set[str] = set()
    names_in_graph: set[str] = set()
    for product in products:
        source, node = product.reads, product.node
        begin = []
        if source not in rounded_inputs:
            rounded_inputs.add(source)
            graph.initializer.extend(activation_constants(source, *ranges[source]))
            begin = _round_trip(source)
        names = matrix_names(product.name)
        if product.name not in names_in_graph:
            names_in_graph.add(product.name)
            codes, scales = rounded[product.name]
            tensors = (codes, scales, np.zeros(len(scales), dtype=np.int8))
            graph.initializer.extend(
                numpy_helper.from_array(np.ascontiguousarray(tensor), constant_name)
                for tensor, constant_name in zip(tensors, names, strict=True)
            )
        widened = f"{node.name or node.output[0]}_weights"
        by[node.output[0]] = [
            *begin,
            helper.make_node("DequantizeLinear", list(names), [widened], axis=1),
            helper.make_node("MatMul", [f"{source}_rounded", widened], list(node.output), name=node.name),
        ]
    replace_nodes(model, by)


def _round_trip(source: str) -> list[onnx.NodeProto]:
    codes, *constants = activation_names(source)
    return [
        helper.make_node("QuantizeLinear", [source, *constants], [codes]),
        helper.make_node("DequantizeLinear", [codes, *constants], [f"{source}_rounded"]),
    ]
