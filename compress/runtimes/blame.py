"""Where in a graph a quantized model leaves its float parent."""

from collections.abc import Sequence

import numpy as np
import onnx

from compress.models.feeds import Batch
from compress.runtimes.activations import activations

WEIGHING = ("MatMul", "Gemm", "Attention", "MultiHeadAttention", "Gather", "Add", "Sum")
SHARE = 0.5
"""Of the largest error: nodes from there on are to blame."""


def first_to_leave(
    before: onnx.ModelProto, after: onnx.ModelProto, batches: Sequence[Batch], count: int = 3
) -> list[tuple[str, float]]:
    """The first nodes, in the graph's order, whose results are off by half of the largest error of any.

    Only results that both graphs have under the same name are compared: those of products and the sums with their
    biases, of attention and of tables.

    Returns:
        At most `count` names of nodes, each with its relative error, ‖quantized - float‖ / ‖float‖ over all batches.
    """
    known = {output for node in after.graph.node for output in node.output}
    floats = {tensor.name for tensor in before.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    names = {
        node.output[0]: node.name or node.output[0]
        for node in before.graph.node
        if node.op_type in WEIGHING
        and node.output[0] in known
        and (node.op_type != "Gather" or node.input[0] in floats)
    }
    wanted = list(names)
    off, size = np.zeros(len(wanted)), np.zeros(len(wanted))
    for ours, theirs in zip(activations(before, wanted, batches), activations(after, wanted, batches), strict=True):
        for place, name in enumerate(wanted):
            off[place] += float(np.square(theirs[name] - ours[name], dtype=np.float64).sum())
            size[place] += float(np.square(ours[name], dtype=np.float64).sum())
    errors = np.sqrt(off / np.maximum(size, np.finfo(np.float64).tiny))
    worst = errors.max(initial=0.0)
    found = [(names[name], float(error)) for name, error in zip(wanted, errors, strict=True) if error >= SHARE * worst]
    return found[:count] if worst > 0 else []
