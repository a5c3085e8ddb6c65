"""The matrix products of an ONNX graph whose matrix is a constant: what quantization rounds."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper


@dataclass(frozen=True)
class Matrix:
    """A product of activations and a constant matrix.

    Attributes:
        node: the MatMul.
        weights: (inputs, outputs).
    """

    node: onnx.NodeProto
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]]

    @property
    def name(self) -> str:
        """Of the matrix."""
        return str(self.node.input[1])

    @property
    def reads(self) -> str:
        """Name of the activations, (..., inputs)."""
        return str(self.node.input[0])


def matrices(model: onnx.ModelProto) -> list[Matrix]:
    """Every MatMul by a constant matrix of floats, in the graph's order."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return [
        Matrix(node, numpy_helper.to_array(constants[node.input[1]]))
        for node in model.graph.node
        if node.op_type == "MatMul"
        and node.input[1] in constants
        and len(constants[node.input[1]].dims) == 2
        and constants[node.input[1]].data_type == onnx.TensorProto.FLOAT
    ]


def replace_nodes(model: onnx.ModelProto, by: dict[str, list[onnx.NodeProto]]) -> None:
    """Put other nodes in the place of some, in place, and drop the constants that nothing reads any more.

    Args:
        by: the first output of a node -> what computes it instead.
    """
    graph = model.graph
    nodes = [new for node in graph.node for new in by.get(node.output[0], [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(model)


def drop_unread(model: onnx.ModelProto) -> None:
    """Remove the constants that no node and no output reads, in place."""
    graph = model.graph
    read = _read_names(graph.node) | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _read_names(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """What nodes read, those of their subgraphs too."""
    found: set[str] = set()
    for node in nodes:
        found.update(node.input)
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                found |= _read_names(graph.node)
    return found


def add_domain(model: onnx.ModelProto, domain: str, version: int = 1) -> None:
    """Say that a graph uses the operators of a domain."""
    if domain not in {item.domain for item in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(domain, version))
