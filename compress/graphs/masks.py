"""Constants of an ONNX graph that only mask: they make scores so low that their softmax is 0."""

import numpy as np
import onnx
from onnx import numpy_helper

from compress.graphs.subgraphs import reads

MASKING = 1e4
"""The largest magnitude that a masking constant needs."""
SHAPED = ("Unsqueeze", "Squeeze", "Expand", "Reshape", "Transpose", "Slice", "Identity", "Tile")
"""Operators that only rearrange the numbers of their first input."""
BIASED = {"Softmax": 0, "MultiHeadAttention": 5, "Attention": 5}
"""Operators that take a softmax of scores -> the position of the input that holds the scores or is added to them."""


def clip_masks(model: onnx.ModelProto) -> int:
    """Clip the finite numbers of constants that only mask, in place: the smaller numbers mask as well.

    Returns:
        Number of tensors changed.
    """
    graph = _Graph(model)
    count = 0
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        beyond = np.isfinite(values) & (np.abs(values) > MASKING)
        if beyond.any() and graph.only_masks(tensor.name):
            count += 1
            clipped = np.where(beyond, np.copysign(np.float32(MASKING), values), values)
            tensor.CopyFrom(numpy_helper.from_array(clipped, tensor.name))
    return count


class _Graph:
    """The maker and the readers of each tensor of a graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.outputs = {item.name for item in model.graph.output}
        self.maker = {name: node for node in model.graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in reads(node):
                self.readers.setdefault(name, []).append(node)

    def only_masks(self, name: str) -> bool:
        """Whether a tensor is only added to scores, put in their place, or asked for its shape."""
        return name not in self.outputs and all(self._masks(name, node) for node in self.readers.get(name, ()))

    def _masks(self, name: str, node: onnx.NodeProto) -> bool:
        places = [place for place, input_name in enumerate(node.input) if input_name == name]
        if len(places) != 1:  # in a branch, or as two inputs at once
            return False
        (place,) = places
        if node.op_type in BIASED:
            return place == BIASED[node.op_type]
        goes_on = (
            node.op_type in ("Add", "Sub", "Sum")
            or (node.op_type in SHAPED and place == 0)
            or (node.op_type == "Where" and place > 0)
            or (node.op_type == "Mul" and self._is_mask(node.input[1 - place]))
        )
        return node.op_type == "Shape" or (goes_on and self.only_masks(node.output[0]))

    def _is_mask(self, name: str) -> bool:
        """Whether a tensor is made only of integers, truth values and constants up to 1."""
        if name in self.constants:
            return bool(np.abs(numpy_helper.to_array(self.constants[name])).max(initial=0) <= 1)
        node = self.maker.get(name)
        if node is None or node.op_type == "Cast":
            return node is not None
        if node.op_type in SHAPED:
            return self._is_mask(node.input[0])
        return node.op_type in ("Add", "Sub", "Mul", "Neg") and all(map(self._is_mask, node.input))
