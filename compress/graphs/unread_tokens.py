"""Leave out of an ONNX classifier's last layer what its head never reads.

A head that reads the first token alone needs of the last layer one query, one output and one pass of the feed-forward
matrices. With a single query q, attention over the hidden states X needs neither keys nor values of all tokens:

    q (X Wk)^T = (q Wk^T) X^T        and        p (X Wv) = (p X) Wv

so that both matrices multiply one row a head instead of every token. A key's bias adds the same to each score, which
the softmax takes out; the attention p sums to 1, so a value's bias is added once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.errors import InputError
from compress.graphs.subgraphs import reads

ELEMENTWISE = ("Add", "Sum", "Mul", "Sub", "Div", "Pow", "Sqrt", "Erf", "Tanh", "Relu", "Sigmoid", "Cast", "Identity")
ACTIVATIONS = ("Gelu", "BiasGelu", "FastGelu", "QuickGelu")
NORMS = ("LayerNormalization", "SkipLayerNormalization")
MASKED = -10_000.0
"""What onnxruntime's Attention adds to the score of a masked token where the node does not say."""


def skip_unread_tokens(model: onnx.ModelProto) -> int:
    """Compute the layer that the head reads only for the first token, in place.

    Returns:
        Number of nodes that now work on one token instead of all.

    Raises:
        InputError: the head reads more than the first token, or attention is not fused.
    """
    surgery = _Surgery(model)
    hidden = surgery.read_by_head()
    single = surgery.only_for(hidden)
    attention = surgery.attention_before(single)
    count = len(single)
    for node in single:
        for position, name in enumerate(node.input):
            if surgery.varies(name) and name not in surgery.outputs_of([*single, attention]):
                node.input[position] = surgery.first_token(name)
    surgery.replace(attention)
    return count


class _Surgery:
    """A graph, who makes and who reads each of its tensors, and what is put into it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t
        self.maker = {name: node for node in self.graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in reads(node):
                self.readers.setdefault(name, []).append(node)
        for item in self.graph.output:  # who reads what the graph gives is none of its nodes
            self.readers.setdefault(item.name, []).append(onnx.NodeProto())
        self.sliced: dict[str, str] = {}

    def varies(self, name: str) -> bool:
        """True if a tensor is computed from the inputs."""
        return bool(name) and name not in self.constants

    def outputs_of(self, nodes: Iterable[onnx.NodeProto]) -> set[str]:
        """Names of all that nodes give."""
        return {name for node in nodes for name in node.output}

    def read_by_head(self) -> str:
        """The hidden states of which the head takes the first token, (batch, tokens, width)."""
        for node in reversed(self.graph.node):
            if node.op_type == "Gather" and self.varies(node.input[0]) and self._takes_first(node):
                if len(self.readers[node.input[0]]) == 1:
                    return str(node.input[0])
                break
        raise InputError(
            "the model's head does not read the first token alone", fix="leave this step out for this model"
        )

    def _takes_first(self, node: onnx.NodeProto) -> bool:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        index = self.constants.get(node.input[1])
        return axis == 1 and index is not None and numpy_helper.to_array(index).reshape(-1).tolist() == [0]

    def only_for(self, hidden: str) -> list[onnx.NodeProto]:
        """Nodes that treat each token alone and whose results end in `hidden` and nowhere else."""
        found: list[onnx.NodeProto] = []
        wanted = {hidden}
        for node in reversed(self.graph.node):  # a graph's nodes stand in the order of their work
            ends_there = any(name in wanted for name in node.output)
            if not ends_there or not self._treats_each_token_alone(node):
                continue
            readers = [reader for name in node.output for reader in self.readers.get(name, ())]
            if hidden in node.output or all(any(reader is one for one in found) for reader in readers):
                found.append(node)
                wanted |= {name for name in node.input if self.varies(name)}
        return found

    def _treats_each_token_alone(self, node: onnx.NodeProto) -> bool:
        fixed = [self.constants[name] for name in node.input if name in self.constants]
        if node.op_type == "MatMul":
            return len(fixed) == 1 and node.input[1] in self.constants and len(fixed[0].dims) == 2
        if node.op_type in NORMS:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), -1)
            return axis in (-1, 2)
        if node.op_type in (*ELEMENTWISE, *ACTIVATIONS):
            return all(len(tensor.dims) < 2 or tensor.dims[-2] == 1 for tensor in fixed)
        return False

    def attention_before(self, single: list[onnx.NodeProto]) -> onnx.NodeProto:
        """The attention that feeds the given nodes and nothing else."""
        makers = [self.maker[name] for node in single for name in node.input if name in self.maker]
        found = [node for node in makers if node.op_type == "Attention"]
        if len(found) == 1 and all(any(reader is one for one in single) for reader in self.readers[found[0].output[0]]):
            weights = found[0].input[1:3]
            given = [name for name in found[0].input[4:] if name]
            attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in found[0].attribute}
            given += [name for name in found[0].output[1:] if name]
            if set(weights) <= set(self.constants) and not given and not attributes.get("unidirectional"):
                return found[0]
        raise InputError(
            "the layer that the head reads has no attention that onnxruntime has fused",
            fix="export it with fuse: always",
        )

    def first_token(self, name: str) -> str:
        """The first token of hidden states, (batch, 1, width)."""
        if name not in self.sliced:
            self.sliced[name] = f"{name}_first"
            bounds = [self.constant(f"{name}_{bound}", np.array([value])) for bound, value in _FIRST.items()]
            self._insert("Slice", [name, *bounds], self.sliced[name], after=name)
        return self.sliced[name]

    def constant(self, name: str, values: np.ndarray[Any, Any]) -> str:
        """Put an initializer into the graph."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.graph.initializer.append(tensor)
        self.constants[name] = tensor
        return name

    def _insert(self, kind: str, inputs: list[str], output: str, after: str) -> None:
        made = helper.make_node(kind, inputs, [output], name=output)
        position = next((index for index, node in enumerate(self.graph.node) if after in node.output), -1)
        self.graph.node.insert(position + 1, made)

    def replace(self, attention: onnx.NodeProto) -> None:
        """Put attention of one query in the place of attention of all."""
        hidden = attention.input[0]
        first = self.first_token(hidden)
        position = next(index for index, node in enumerate(self.graph.node) if node is attention)
        weights = [self.constants[name] for name in attention.input[1:3]]
        for offset, node in enumerate(self._of_one_query(attention, hidden, first)):
            self.graph.node.insert(position + offset, node)
        self.graph.node.remove(attention)
        for tensor in weights:
            if len(self.readers[tensor.name]) == 1:
                self.graph.initializer.remove(tensor)

    def _of_one_query(self, attention: onnx.NodeProto, hidden: str, first: str) -> list[onnx.NodeProto]:
        said = {attribute.name: helper.get_attribute_value(attribute) for attribute in attention.attribute}
        result, heads = attention.output[0], said["num_heads"]
        query, key, value = self._projections(attention, said)
        blocks = np.kron(np.eye(heads), np.ones((1, query[0].shape[1] // heads))).astype(np.float32)
        scale = said.get("scale") or (query[0].shape[1] // heads) ** -0.5
        tensors = {
            "query_weight": query[0] * np.float32(scale),
            "query_bias": query[1] * np.float32(scale),
            "key_weight": key[0].T,
            "value_weight": value[0],
            "value_bias": value[1],
            "heads": blocks,
        }
        names = {name: self.constant(f"{result}_{name}", values) for name, values in tensors.items()}
        made: list[onnx.NodeProto] = []

        def put(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
            made.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
            return output

        asked = put("MatMul", [first, names["query_weight"]], f"{result}_projected")  # (batch, 1, channels)
        asked = put("Add", [asked, names["query_bias"]], f"{result}_query")
        asked = put("Mul", [asked, names["heads"]], f"{result}_by_head")  # (batch, heads, channels)
        asked = put("MatMul", [asked, names["key_weight"]], f"{result}_asked")  # (batch, heads, width)
        turned = put("Transpose", [hidden], f"{result}_turned", perm=[0, 2, 1])
        scores = put("MatMul", [asked, turned], f"{result}_scores")  # (batch, heads, tokens)
        if len(attention.input) > 3 and attention.input[3]:
            scores = self._masked(put, scores, attention.input[3], result, said.get("mask_filter_value") or MASKED)
        shares = put("Softmax", [scores], f"{result}_shares", axis=-1)
        seen = put("MatMul", [shares, hidden], f"{result}_seen")  # (batch, heads, width)
        seen = put("MatMul", [seen, names["value_weight"]], f"{result}_values")  # (batch, heads, channels)
        seen = put("Mul", [seen, names["heads"]], f"{result}_of_head")
        axes = self.constant(f"{result}_axes", np.array([1]))
        seen = put("ReduceSum", [seen, axes], f"{result}_joined", keepdims=1)  # (batch, 1, channels)
        put("Add", [seen, names["value_bias"]], result)
        return made

    def _projections(
        self, attention: onnx.NodeProto, said: Mapping[str, Any]
    ) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Weight (width, channels) and bias (channels,) of the query, the key and the value."""
        weight, bias = (numpy_helper.to_array(self.constants[name]) for name in attention.input[1:3])
        sizes = said.get("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
        ends = np.cumsum(sizes)[:-1]
        return list(zip(np.split(weight, ends, axis=1), np.split(bias, ends), strict=True))

    def _masked(self, put: Any, scores: str, mask: str, result: str, masked: float) -> str:
        """Scores to which each masked token's is made too low to matter; `mask` is (batch, tokens), 1 for a token."""
        one = self.constant(f"{result}_one", np.array(1, dtype=np.float32))
        low = self.constant(f"{result}_low", np.array(masked, dtype=np.float32))
        axes = self.constant(f"{result}_head_axis", np.array([1]))
        there = put("Cast", [mask], f"{result}_mask", to=onnx.TensorProto.FLOAT)
        absent = put("Sub", [one, there], f"{result}_absent")
        absent = put("Mul", [absent, low], f"{result}_lowered")
        absent = put("Unsqueeze", [absent, axes], f"{result}_everywhere")  # (batch, 1, tokens)
        return str(put("Add", [scores, absent], f"{result}_masked"))


_FIRST = {"start": 0, "end": 1, "axis": 1}
