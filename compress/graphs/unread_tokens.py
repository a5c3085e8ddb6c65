"""The last layer of an ONNX classifier, computed only for the token that its head reads.

A head that reads the first token alone needs one query, one output and one pass through the feed-forward matrices of
the last layer. `compress.graphs.one_query` says how its attention is computed.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.errors import InputError
from compress.graphs.one_query import OneQuery
from compress.graphs.subgraphs import reads

ELEMENTWISE = ("Add", "Sum", "Mul", "Sub", "Div", "Pow", "Sqrt", "Erf", "Tanh", "Relu", "Sigmoid", "Cast", "Identity")
ACTIVATIONS = ("Gelu", "BiasGelu", "FastGelu", "QuickGelu")
NORMS = ("LayerNormalization", "SkipLayerNormalization")
_FIRST = {"start": 0, "end": 1, "axis": 1}


def skip_unread_tokens(model: onnx.ModelProto) -> int:
    """Compute the layer below the head for the first token only, in place.

    Returns:
        Number of nodes that now work on one token instead of all.

    Raises:
        InputError: the head reads more than the first token, or attention is not fused.
    """
    tensors = _Tensors(model.graph)
    hidden = _read_by_head(tensors)
    single = _layer_of(tensors, hidden)
    attention = _attention_before(tensors, single)
    own = {name for node in (*single, attention) for name in node.output}
    for node in single:
        for position, name in enumerate(node.input):
            if tensors.varies(name) and name not in own:
                node.input[position] = tensors.first_token(name)
    _replace(tensors, attention)
    return len(single)


class _Tensors:
    """The tensors of a graph, with the nodes that make and read them; new ones can be added.

    Attributes:
        constants: tensors that are the same for all inputs, by name.
        maker: name of a tensor -> the node that gives it.
        readers: name of a tensor -> the nodes that read it; an output of the graph has one empty node more.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t
        self.maker = {name: node for node in self.graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in reads(node):
                self.readers.setdefault(name, []).append(node)
        for item in self.graph.output:  # an output is read from outside of the graph
            self.readers.setdefault(item.name, []).append(onnx.NodeProto())
        self._sliced: dict[str, str] = {}

    def varies(self, name: str) -> bool:
        """Whether a tensor is computed from the inputs."""
        return bool(name) and name not in self.constants

    def first_token(self, name: str) -> str:
        """Name of the first token of hidden states, (batch, 1, width)."""
        if name not in self._sliced:
            self._sliced[name] = f"{name}_first"
            bounds = [self.constant(f"{name}_{bound}", np.array([value])) for bound, value in _FIRST.items()]
            self._insert("Slice", [name, *bounds], self._sliced[name], after=name)
        return self._sliced[name]

    def constant(self, name: str, values: np.ndarray[Any, Any]) -> str:
        """Put a constant into the graph, and return its name."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.graph.initializer.append(tensor)
        self.constants[name] = tensor
        return name

    def _insert(self, kind: str, inputs: list[str], output: str, after: str) -> None:
        new_node = helper.make_node(kind, inputs, [output], name=output)
        position = next((index for index, node in enumerate(self.graph.node) if after in node.output), -1)
        self.graph.node.insert(position + 1, new_node)


def _read_by_head(tensors: _Tensors) -> str:
    """Name of the hidden states of which the head reads the first token, (batch, tokens, width)."""
    for node in reversed(tensors.graph.node):
        if node.op_type == "Gather" and tensors.varies(node.input[0]) and _takes_first(tensors, node):
            if len(tensors.readers[node.input[0]]) == 1:
                return str(node.input[0])
            break
    raise InputError("the model's head does not read the first token alone", fix="leave this step out for this model")


def _takes_first(tensors: _Tensors, node: onnx.NodeProto) -> bool:
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    index = tensors.constants.get(node.input[1])
    return axis == 1 and index is not None and numpy_helper.to_array(index).reshape(-1).tolist() == [0]


def _layer_of(tensors: _Tensors, hidden: str) -> list[onnx.NodeProto]:
    """Nodes that treat each token alone and whose results end in `hidden` and nowhere else."""
    single: list[onnx.NodeProto] = []
    needed = {hidden}
    for node in reversed(tensors.graph.node):  # a graph's nodes are in the order of execution
        ends_there = any(name in needed for name in node.output)
        if not ends_there or not _treats_each_token_alone(tensors, node):
            continue
        readers = [reader for name in node.output for reader in tensors.readers.get(name, ())]
        if hidden in node.output or all(any(reader is one for one in single) for reader in readers):
            single.append(node)
            needed |= {name for name in node.input if tensors.varies(name)}
    return single


def _treats_each_token_alone(tensors: _Tensors, node: onnx.NodeProto) -> bool:
    fixed = [tensors.constants[name] for name in node.input if name in tensors.constants]
    if node.op_type == "MatMul":
        return len(fixed) == 1 and node.input[1] in tensors.constants and len(fixed[0].dims) == 2
    if node.op_type in NORMS:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), -1)
        return axis in (-1, 2)
    if node.op_type in (*ELEMENTWISE, *ACTIVATIONS):
        return all(len(tensor.dims) < 2 or tensor.dims[-2] == 1 for tensor in fixed)
    return False


def _attention_before(tensors: _Tensors, single: list[onnx.NodeProto]) -> onnx.NodeProto:
    """The attention that feeds the given nodes and nothing else."""
    makers = [tensors.maker[name] for node in single for name in node.input if name in tensors.maker]
    attentions = [node for node in makers if node.op_type == "Attention"]
    if len(attentions) == 1 and all(
        any(reader is one for one in single) for reader in tensors.readers[attentions[0].output[0]]
    ):
        weights = attentions[0].input[1:3]
        extras = [name for name in attentions[0].input[4:] if name]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in attentions[0].attribute}
        extras += [name for name in attentions[0].output[1:] if name]
        if set(weights) <= set(tensors.constants) and not extras and not attributes.get("unidirectional"):
            return attentions[0]
    raise InputError(
        "the layer that the head reads has no attention that onnxruntime has fused",
        fix="export it with fuse: always",
    )


def _replace(tensors: _Tensors, attention: onnx.NodeProto) -> None:
    """Replace the attention of all tokens by that of one query."""
    hidden, graph = attention.input[0], tensors.graph
    first = tensors.first_token(hidden)
    position = next(index for index, node in enumerate(graph.node) if node is attention)
    weights = [tensors.constants[name] for name in attention.input[1:3]]
    one = OneQuery(attention, tensors.constants, tensors.constant)
    for offset, node in enumerate(one.nodes(hidden, first)):
        graph.node.insert(position + offset, node)
    graph.node.remove(attention)
    for tensor in weights:
        if len(tensors.readers[tensor.name]) == 1:
            graph.initializer.remove(tensor)
