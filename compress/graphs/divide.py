"""Scales moved from activations into the matrices that multiply them, in an ONNX graph that computes the same."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graphs.matrices import Matrix
from compress.graphs.subgraphs import reads


def readers(model: onnx.ModelProto, products: Sequence[Matrix]) -> dict[str, list[Matrix]]:
    """The products that can be scaled together, by the name of the activations that they read.

    Activations are left out if the matrix of one of their products multiplies other activations too, or has another
    use, as a matrix that is also an embedding table does.
    """
    sources: dict[str, set[str]] = {}
    for product in products:
        sources.setdefault(product.name, set()).add(product.reads)
    ours = {product.node.output[0] for product in products}
    elsewhere = {name for product in products for name in product.node.input if name != product.name}
    elsewhere |= {item.name for item in model.graph.output}
    elsewhere = elsewhere.union(*(reads(node) for node in model.graph.node if node.output[0] not in ours))
    groups: dict[str, list[Matrix]] = {}
    for product in products:
        groups.setdefault(product.reads, []).append(product)
    return {
        source: group
        for source, group in groups.items()
        if all(len(sources[product.name]) == 1 and product.name not in elsewhere for product in group)
    }


def divide(model: onnx.ModelProto, products: Sequence[Matrix], scales: Mapping[str, np.ndarray]) -> None:
    """Divide what products read by a scale for each channel, and multiply their matrices' rows by it, in place.

    The division is a Mul of its own: in most encoders a norm's output is also added on later, so the norm cannot hold
    it.

    Args:
        scales: (channels,), above 0, by the name of the activations, as in `readers`.
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
