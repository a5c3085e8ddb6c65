"""ONNX graphs in half precision (IEEE 754 binary16), except for numbers that are too large for it."""

from collections.abc import Collection

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.errors import InputError
from compress.graphs.subgraphs import all_nodes, read_in, reads

LARGEST = 65504
"""The largest finite number of a half."""
LARGEST_TO_KEEP = LARGEST / 4
"""The largest computed number that stays in half: other rows may give larger ones than the rows that were tried."""


def in_half(
    model: onnx.ModelProto, floats: Collection[str], large: Collection[str], float_operators: Collection[str]
) -> tuple[onnx.ModelProto, list[str]]:
    """The graph with weights and arithmetic in half; its inputs and outputs keep their types.

    Args:
        model: in normal form; is changed.
        floats: names of all float tensors that nodes make.
        large: names of those that a half cannot hold. Nodes that make or read them stay in float, as do nodes that read
            a constant that a half cannot hold.
        float_operators: kinds of nodes that stay in float too.

    Returns:
        The graph, and the names of the nodes that stay in float.

    Raises:
        InputError: a branch of the graph reads numbers that a half cannot hold.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    graph = model.graph
    used_names = {node.name for node in graph.node}
    for number, node in enumerate(graph.node):
        if not node.name:  # the converter finds nodes by name
            node.name = next(name for name in (node.output[0], f"node_{number}_of_half") if name not in used_names)
            used_names.add(node.name)
    blocked = {*DEFAULT_OP_BLOCK_LIST, *float_operators}
    unfit = {*large, *_too_large(graph)}
    float_nodes = [
        node.name
        for node in graph.node
        if (node.op_type in blocked and set(floats) & set(node.output)) or unfit & {*node.input, *node.output}
    ]
    _check_branches(graph, unfit)
    typed_names = {item.name for item in (*graph.output, *graph.value_info)}
    graph.value_info.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in floats if name not in typed_names
    )
    half_model = convert_float_to_float16(
        model,
        keep_io_types=True,
        disable_shape_infer=True,  # the types are given, those of onnxruntime's own operators among them
        op_block_list=sorted(blocked),
        node_block_list=float_nodes,
    )
    _join_floats(half_model.graph)
    _sort(half_model.graph)  # the converter puts its casts at the end
    return half_model, float_nodes


def _check_branches(graph: onnx.GraphProto, unfit: set[str]) -> None:
    """Refuse a graph with a branch that reads too large numbers, which the converter would pass through a half."""
    for node in graph.node:
        for name in sorted(unfit & (reads(node) - set(node.input))):
            raise InputError(
                f"a branch of the node '{node.name}' reads '{name}', whose numbers are too large for 16 bits",
                fix="leave this step out for this model",
            )


def _too_large(graph: onnx.GraphProto) -> list[str]:
    """Constants with finite numbers that are too large for a half."""
    names = []
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            if np.abs(values).max(initial=0.0, where=np.isfinite(values)) > LARGEST:
                names.append(tensor.name)
    return names


def _join_floats(graph: onnx.GraphProto) -> None:
    """Connect nodes in float directly where the converter casts numbers to half and back."""
    makers = {output: node for node in graph.node for output in node.output}
    floats = {}
    for node in graph.node:
        before = makers.get(node.input[0]) if _casts(node, onnx.TensorProto.FLOAT) else None
        if before is not None and _casts(before, onnx.TensorProto.FLOAT16):
            floats[node.output[0]] = before.input[0]
    for node in all_nodes(graph):
        for position, name in enumerate(node.input):
            node.input[position] = floats.get(name, name)
    names_read = read_in(graph)
    nodes = [node for node in graph.node if node.op_type != "Cast" or node.output[0] in names_read]
    del graph.node[:]
    graph.node.extend(nodes)


def _sort(graph: onnx.GraphProto) -> None:
    """Sort the nodes, in place: each after the makers of its inputs (and of its branches' inputs), and else by name."""
    outputs = {name for node in graph.node for name in node.output}
    waiting = [(node, reads(node) & outputs) for node in sorted(graph.node, key=lambda node: str(node.name))]
    nodes: list[onnx.NodeProto] = []
    available: set[str] = set()
    while waiting:
        later = []
        for node, needed in waiting:
            if needed <= available:
                nodes.append(node)
                available.update(node.output)
            else:
                later.append((node, needed))
        waiting = later
    del graph.node[:]
    graph.node.extend(nodes)


def _casts(node: onnx.NodeProto, to: int) -> bool:
    return bool(node.op_type == "Cast" and node.attribute[0].i == to)
