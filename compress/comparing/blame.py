"""Where in a graph a quantized model leaves its float parent."""

from collections.abc import Sequence

import numpy as np
import onnx

from compress.comparing.activations import results
from compress.graphs.feeds import Batch

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
    off, size = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for ours, theirs in zip(results(before, list(names), batches), results(after, list(names), batches), strict=True):
        for name in ours.keys() & theirs.keys():
            known_numbers = np.isfinite(ours[name])  # a mask may add minus infinity
            first, second = (side[name][known_numbers].astype(np.float64) for side in (ours, theirs))
            off[name] += float(np.square(second - first).sum()) if np.isfinite(second).all() else np.inf
            size[name] += float(np.square(first).sum())
    errors = {name: np.sqrt(off[name] / max(size[name], np.finfo(np.float64).tiny)) for name in names}
    worst = max(errors.values(), default=0.0)
    found = [(names[name], float(error)) for name, error in errors.items() if error >= SHARE * worst]
    return found[:count] if worst > 0 else []
