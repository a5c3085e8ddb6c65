"""Divides what matrix products of an ONNX graph read, so that the graph computes the same."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graphs.matrices import Matrix
from compress.graphs.subgraphs import reads


def readers(model: onnx.ModelProto, products: Sequence[Matrix]) -> dict[str, list[Matrix]]:
    """By the name of what is read, the products that read it and whose matrices can be scaled for it.

    Those whose matrix reads something else too are left out with all that read the same, and so are those whose matrix
    is read by something else, as a table that is tied to it is.
    """
    sources: dict[str, set[str]] = {}
    for product in products:
        sources.setdefault(product.name, set()).add(product.reads)
    ours = {product.node.output[0] for product in products}
    elsewhere = {name for product in products for name in product.node.input if name != product.name}
    elsewhere |= {item.name for item in model.graph.output}
    elsewhere = elsewhere.union(*(reads(node) for node in model.graph.node if node.output[0] not in ours))
    found: dict[str, list[Matrix]] = {}
    for product in products:
        found.setdefault(product.reads, []).append(product)
    return {
        source: group
        for source, group in found.items()
        if all(len(sources[product.name]) == 1 and product.name not in elsewhere for product in group)
    }


def divide(model: onnx.ModelProto, products: Sequence[Matrix], scales: Mapping[str, np.ndarray]) -> None:
    """Divide what products read by a scale for each channel, and multiply their matrices' rows by it, in place.

    The division is a Mul of its own: in most encoders a norm's output is also added on later, so the norm cannot hold
    it.

    Args:
        scales: (channels,), above 0, by the name of what is read, as `readers` has them.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    groups = readers(model, products)
    before: dict[str, onnx.NodeProto] = {}
    for source, by in scales.items():
        smoothed, wide = f"{source}_smoothed", by.astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(1 / wide, f"{source}_smoothing"))
        first = groups[source][0].node.output[0]
        before[first] = helper.make_node("Mul", [source, f"{source}_smoothing"], [smoothed])
        for name in {product.name for product in groups[source]}:
            weights = numpy_helper.to_array(constants[name]) * wide[:, None]
            constants[name].CopyFrom(numpy_helper.from_array(weights, name))
        for product in groups[source]:
            product.node.input[0] = smoothed
    nodes = []
    for node in graph.node:
        if node.output[0] in before:
            nodes.append(before[node.output[0]])
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
