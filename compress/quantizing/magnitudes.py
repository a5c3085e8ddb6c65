"""The magnitudes of the numbers that an ONNX graph computes."""

from collections.abc import Sequence

import numpy as np
import onnx

from compress.context import Progress
from compress.graphs.calls import bounded_call
from compress.graphs.feeds import Batch, feeds
from compress.runtimes.onnxruntime import graph_session

AT_ONCE = 32
"""Tensors that are looked at in one pass: all tensors of a large model would not fit into memory."""


def magnitudes(model: onnx.ModelProto, batches: Sequence[Batch], progress: Progress) -> dict[str, float]:
    """The largest finite magnitude of each tensor of floats that the graph's nodes make, by name.

    Args:
        model: the graph, which is not changed.
        batches: batches of rows; numbers at padding count too, because they are computed.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = {item.name for item in watched.graph.output}
    inner_names = [name for node in watched.graph.node for name in node.output if name and name not in outputs]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner_names)  # onnxruntime finds the types
    session = graph_session(watched)
    feed = feeds(session)
    names = [item.name for item in session.get_outputs() if item.type == "tensor(float)"]
    parts = [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
    largest_of = dict.fromkeys(names, 0.0)
    for done, batch in enumerate(batches):
        progress("looking for large numbers", done, len(batches))
        for part in parts:
            for name, values in zip(part, bounded_call(session, part, feed(batch)), strict=True):
                largest = np.abs(values).max(initial=0.0, where=np.isfinite(values))
                largest_of[name] = max(largest_of[name], float(largest))
    progress("looking for large numbers", len(batches), len(batches))
    return largest_of
