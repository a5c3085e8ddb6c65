"""The names that nodes of an ONNX graph read, in the branches of an If and the bodies of a Loop or a Scan too."""

from collections.abc import Iterator

import onnx


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The branches and bodies of an If, a Loop or a Scan."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes of a graph, with those of branches and bodies."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from all_nodes(inner)


def reads(node: onnx.NodeProto) -> set[str]:
    """Names that a node reads: its inputs, and the names that its branches and bodies read or give."""
    names = set(node.input)
    for graph in subgraphs(node):
        names |= read_in(graph)
    return names - {""}


def read_in(graph: onnx.GraphProto) -> set[str]:
    """Names that a graph's nodes read or that it gives."""
    return {output.name for output in graph.output}.union(*(reads(node) for node in graph.node))
