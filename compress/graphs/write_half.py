"""ONNX graphs in half precision (IEEE 754 binary16), but for what it cannot hold."""

from collections.abc import Collection

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.errors import InputError
from compress.graphs.subgraphs import all_nodes, read_in, reads

LARGEST = 65504
"""The largest finite number of a half."""
LARGEST_SEEN = LARGEST / 4
"""What stays in half of what is computed: other rows may go beyond those that were seen."""


def in_half(
    model: onnx.ModelProto, floats: Collection[str], large: Collection[str], float_operators: Collection[str]
) -> tuple[onnx.ModelProto, list[str]]:
    """The graph with weights and arithmetic in half; its inputs and outputs keep their types.

    Args:
        model: in normal form; is changed.
        floats: names of all tensors of floats that nodes make.
        large: those of them that a half cannot hold; what makes or reads them stays in float, and so does what reads
            constants that it cannot hold.
        float_operators: kinds of nodes that stay in float too.

    Returns:
        The graph, and the names of the nodes that stay in float.

    Raises:
        InputError: what a branch of the graph reads cannot be held by a half.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    graph = model.graph
    taken = {node.name for node in graph.node}
    for number, node in enumerate(graph.node):
        if not node.name:  # the converter knows nodes by their names
            node.name = next(name for name in (node.output[0], f"node_{number}_of_half") if name not in taken)
            taken.add(node.name)
    blocked = {*DEFAULT_OP_BLOCK_LIST, *float_operators}
    unfit = {*large, *_beyond(graph)}
    kept = [
        node.name
        for node in graph.node
        if (node.op_type in blocked and set(floats) & set(node.output)) or unfit & {*node.input, *node.output}
    ]
    _check_branches(graph, unfit)
    known = {item.name for item in (*graph.output, *graph.value_info)}
    graph.value_info.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in floats if name not in known
    )
    made = convert_float_to_float16(
        model,
        keep_io_types=True,
        disable_shape_infer=True,  # the types are given, those of onnxruntime's own operators among them
        op_block_list=sorted(blocked),
        node_block_list=kept,
    )
    _join_floats(made.graph)
    _sort(made.graph)  # the converter puts its casts at the end
    return made, kept


def _check_branches(graph: onnx.GraphProto, unfit: set[str]) -> None:
    """Refuse what the converter would bring into a branch through a half."""
    for node in graph.node:
        for name in sorted(unfit & (reads(node) - set(node.input))):
            raise InputError(
                f"a branch of the node '{node.name}' reads '{name}', whose numbers are too large for 16 bits",
                fix="leave this step out for this model",
            )


def _beyond(graph: onnx.GraphProto) -> list[str]:
    """Constants with finite numbers that are too large for a half."""
    found = []
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            if np.abs(values).max(initial=0.0, where=np.isfinite(values)) > LARGEST:
                found.append(tensor.name)
    return found


def _join_floats(graph: onnx.GraphProto) -> None:
    """Let nodes in float read floats, where the converter brings them through a half that cannot hold them."""
    makers = {output: node for node in graph.node for output in node.output}
    floats = {}
    for node in graph.node:
        before = makers.get(node.input[0]) if _casts(node, onnx.TensorProto.FLOAT) else None
        if before is not None and _casts(before, onnx.TensorProto.FLOAT16):
            floats[node.output[0]] = before.input[0]
    for node in all_nodes(graph):
        for position, name in enumerate(node.input):
            node.input[position] = floats.get(name, name)
    read = read_in(graph)
    kept = [node for node in graph.node if node.op_type != "Cast" or node.output[0] in read]
    del graph.node[:]
    graph.node.extend(kept)


def _sort(graph: onnx.GraphProto) -> None:
    """Put each node behind those that make what it reads, also what its branches read, and else by name."""
    made = {name for node in graph.node for name in node.output}
    waiting = [(node, reads(node) & made) for node in sorted(graph.node, key=lambda node: str(node.name))]
    nodes: list[onnx.NodeProto] = []
    done: set[str] = set()
    while waiting:
        later = []
        for node, needed in waiting:
            if needed <= done:
                nodes.append(node)
                done.update(node.output)
            else:
                later.append((node, needed))
        waiting = later
    del graph.node[:]
    graph.node.extend(nodes)


def _casts(node: onnx.NodeProto, to: int) -> bool:
    return bool(node.op_type == "Cast" and node.attribute[0].i == to)
