"""The nodes of a graph at which a quantized model begins to differ from its float parent."""

from collections.abc import Sequence

import numpy as np
import onnx

from compress.comparing.activations import results
from compress.graphs.feeds import Batch

COMPARED = ("MatMul", "Gemm", "Attention", "MultiHeadAttention", "Gather", "Add", "Sum")
"""The operators whose results are compared."""
SHARE = 0.5
"""Share of the largest error: a node with a larger error is to blame."""


def first_diverging(
    before: onnx.ModelProto, after: onnx.ModelProto, batches: Sequence[Batch], count: int = 3
) -> list[tuple[str, float]]:
    """The first nodes, in the graph's order, with at least half of the largest error of any node.

    Compared are results that both graphs have under the same name: those of products and of the sums with their
    biases, of attention, and of tables.

    Returns:
        At most `count` names of nodes, each with its relative error, ‖quantized - float‖ / ‖float‖ over all batches.
    """
    outputs_after = {output for node in after.graph.node for output in node.output}
    floats = {tensor.name for tensor in before.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    names = {
        node.output[0]: node.name or node.output[0]
        for node in before.graph.node
        if node.op_type in COMPARED
        and node.output[0] in outputs_after
        and (node.op_type != "Gather" or node.input[0] in floats)
    }
    squared_errors, squared_sizes = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for ours, theirs in zip(results(before, list(names), batches), results(after, list(names), batches), strict=True):
        for name in ours.keys() & theirs.keys():
            known_numbers = np.isfinite(ours[name])  # a mask may add minus infinity
            first, second = (side[name][known_numbers].astype(np.float64) for side in (ours, theirs))
            squared_errors[name] += float(np.square(second - first).sum()) if np.isfinite(second).all() else np.inf
            squared_sizes[name] += float(np.square(first).sum())
    errors = {
        name: np.sqrt(squared_errors[name] / max(squared_sizes[name], np.finfo(np.float64).tiny)) for name in names
    }
    worst = max(errors.values(), default=0.0)
    nodes = [(names[name], float(error)) for name, error in errors.items() if error >= SHARE * worst]
    return nodes[:count] if worst > 0 else []
