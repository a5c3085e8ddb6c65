"""Matrix products of an ONNX graph in int8, with ranges that were measured before (quantize-dequantize form)."""

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
    """Round what matrix products read to 8 bits, in place: runtimes that know the form then multiply integers.

    Activations become uint8 with one scale for a tensor, matrices int8 with one for each output. Nothing else is
    touched: results stay floats, so that additions, norms and activation functions lose nothing.

    Args:
        products: those to write; no Attention is among them.
        rounded: each matrix by its name.
        ranges: least and largest activation by the name of what a product reads.
    """
    graph = model.graph
    by: dict[str, list[onnx.NodeProto]] = {}
    read: set[str] = set()
    known: set[str] = set()
    for product in products:
        source, node = product.reads, product.node
        begin = []
        if source not in read:
            read.add(source)
            graph.initializer.extend(activation_constants(source, *ranges[source]))
            begin = _round_trip(source)
        names = matrix_names(product.name)
        if product.name not in known:
            known.add(product.name)
            codes, scales = rounded[product.name]
            tensors = (codes, scales, np.zeros(len(scales), dtype=np.int8))
            graph.initializer.extend(
                numpy_helper.from_array(np.ascontiguousarray(tensor), called)
                for tensor, called in zip(tensors, names, strict=True)
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
