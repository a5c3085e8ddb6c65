"""Embeddings that another tool fused into one operator of onnxruntime, split into plain operators again."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graphs.subgraphs import read_in

KIND = "EmbedLayerNormalization"
AXES_ARE_INPUTS = 13
"""The first opset whose ReduceSum reads its axes as an input."""
HAS_RANGES = 11
"""The first opset with the operator Range."""
EPSILON = 1e-12
"""The norm's epsilon where the operator gives none."""


def split_embeddings(model: onnx.ModelProto) -> int:
    """Write each EmbedLayerNormalization as gathered rows, their sum and its norm, in place: the same arithmetic.

    Its tables are most of a small encoder. The fused operator for few bits, QEmbedLayerNormalization, rounds the norm's
    factors too, and the model loses accuracy. The rows are added by a Sum, because onnxruntime might fuse an Add again.

    Returns:
        Number of nodes split.
    """
    graph = model.graph
    nodes: list[onnx.NodeProto] = []
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    names_read = read_in(graph)
    for node in graph.node:
        nodes += _parts(graph, node, names_read, opset) if node.op_type == KIND else [node]
    fused, remaining = ([node for node in some if node.op_type == KIND] for some in (graph.node, nodes))
    if len(remaining) < len(fused):
        del graph.node[:]
        graph.node.extend(nodes)
    return len(fused) - len(remaining)


def _parts(graph: onnx.GraphProto, node: onnx.NodeProto, names_read: set[str], opset: int) -> list[onnx.NodeProto]:
    """The plain operators of a fused node; or the node itself if it counts without a mask, or opset is too old."""
    ids, segments, words, places, kinds, gamma, beta, mask, place_ids = [*node.input, *[""] * 9][:9]
    result, count, total = [*node.output, *[""] * 3][:3]
    counts = count in names_read
    if (counts and not mask) or (not place_ids and opset < HAS_RANGES):
        return [node]

    def name(part: str) -> str:
        return f"{result}_{part}"

    nodes = []
    if not place_ids:
        place_ids = name("places")
        nodes += _places(graph, ids, place_ids)
    gathered = {"word_rows": (words, ids), "place_rows": (places, place_ids)}
    if kinds:
        gathered["kind_rows"] = (kinds, segments)
    nodes += [
        helper.make_node("Gather", [*table_and_rows], [name(part)], name=name(f"{part}_Gather"))
        for part, table_and_rows in gathered.items()
    ]
    total = total or name("sum")
    nodes.append(helper.make_node("Sum", [name(part) for part in gathered], [total], name=name("Sum")))
    epsilon = next((item.f for item in node.attribute if item.name == "epsilon"), EPSILON)
    norm = helper.make_node(
        "LayerNormalization", [total, gamma, beta], [result], name=name("norm"), axis=-1, epsilon=epsilon
    )
    nodes.append(norm)
    if counts:
        nodes.append(_token_counts(graph, mask, count, opset))
    return nodes


def _token_counts(graph: onnx.GraphProto, mask: str, result: str, opset: int) -> onnx.NodeProto:
    """The node that counts the tokens of each text, given a mask of 0 and 1."""
    if opset < AXES_ARE_INPUTS:
        return helper.make_node("ReduceSum", [mask], [result], axes=[1], keepdims=0)
    graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), f"{result}_axes"))
    return helper.make_node("ReduceSum", [mask, f"{result}_axes"], [result], keepdims=0)


def _places(graph: onnx.GraphProto, ids: str, result: str) -> list[onnx.NodeProto]:
    """The nodes that give the positions 0, 1, … of a text's tokens."""
    numbers = {f"{result}_zero": 0, f"{result}_one": 1}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, dtype=np.int64), name) for name, value in numbers.items()
    )
    zero, one = numbers
    return [
        helper.make_node("Shape", [ids], [f"{result}_shape"]),
        helper.make_node("Gather", [f"{result}_shape", one], [f"{result}_length"]),
        helper.make_node("Range", [zero, f"{result}_length", one], [result]),
    ]
