"""Attention of one query over all tokens, in place of the attention of every token, in an ONNX graph.

With a single query q, attention over the hidden states X needs neither keys nor values of all tokens:

    q (X Wk)^T = (q Wk^T) X^T        and        p (X Wv) = (p X) Wv

so that both matrices multiply one row a head instead of every token. A key's bias adds the same to each score, which
the softmax takes out; the attention p sums to 1, so a value's bias is added once.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

MASKED = -10_000.0
"""The number that onnxruntime's Attention adds to a masked token's score, unless the node has its own."""

Array = np.ndarray[Any, Any]


class OneQuery:
    """The nodes that replace one Attention node.

    Args:
        attention: an Attention of onnxruntime with constant weights.
        constants: the graph's constants by name.
        constant: puts a tensor with a name into the graph, and returns the name.
    """

    def __init__(
        self,
        attention: onnx.NodeProto,
        constants: Mapping[str, onnx.TensorProto],
        constant: Callable[[str, Array], str],
    ) -> None:
        self.attention, self.result = attention, attention.output[0]
        self.settings = {item.name: helper.get_attribute_value(item) for item in attention.attribute}
        self._constants, self._constant = constants, constant
        self._nodes: list[onnx.NodeProto] = []

    def nodes(self, hidden: str, first: str) -> list[onnx.NodeProto]:
        """The nodes in the order of execution.

        Args:
            hidden: name of the hidden states of all tokens, (batch, tokens, width).
            first: name of the hidden states of the one query token, (batch, 1, width).
        """
        names = self._weights()
        query = self._put("MatMul", [first, names["query_weight"]], "projected")  # (batch, 1, channels)
        query = self._put("Add", [query, names["query_bias"]], "query")
        query = self._put("Mul", [query, names["heads"]], "by_head")  # (batch, heads, channels)
        query = self._put("MatMul", [query, names["key_weight"]], "asked")  # (batch, heads, width)
        turned = self._put("Transpose", [hidden], "turned", perm=[0, 2, 1])
        scores = self._put("MatMul", [query, turned], "scores")  # (batch, heads, tokens)
        if len(self.attention.input) > 3 and self.attention.input[3]:
            scores = self._masked(scores, self.attention.input[3])
        shares = self._put("Softmax", [scores], "shares", axis=-1)
        context = self._put("MatMul", [shares, hidden], "seen")  # (batch, heads, width)
        context = self._put("MatMul", [context, names["value_weight"]], "values")  # (batch, heads, channels)
        context = self._put("Mul", [context, names["heads"]], "of_head")
        axes = self._constant(f"{self.result}_axes", np.array([1]))
        context = self._put("ReduceSum", [context, axes], "joined", keepdims=1)  # (batch, 1, channels)
        self._nodes.append(helper.make_node("Add", [context, names["value_bias"]], [self.result], name=self.result))
        return self._nodes

    def _put(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node whose output is called after the attention's result and this name."""
        output = f"{self.result}_{name}"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _weights(self) -> dict[str, str]:
        """Names of the matrices and biases, put into the graph in the form that one query multiplies."""
        query, key, value = self._projections()
        heads, channels = self.settings["num_heads"], query[0].shape[1]
        blocks = np.kron(np.eye(heads), np.ones((1, channels // heads))).astype(np.float32)
        scale = np.float32(self.settings.get("scale") or (channels // heads) ** -0.5)
        tensors = {
            "query_weight": query[0] * scale,
            "query_bias": query[1] * scale,
            "key_weight": key[0].T,
            "value_weight": value[0],
            "value_bias": value[1],
            "heads": blocks,
        }
        return {name: self._constant(f"{self.result}_{name}", values) for name, values in tensors.items()}

    def _projections(self) -> list[tuple[Array, Array]]:
        """Weight (width, channels) and bias (channels,) of the query, the key and the value."""
        weight, bias = (numpy_helper.to_array(self._constants[name]) for name in self.attention.input[1:3])
        sizes = self.settings.get("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
        ends = np.cumsum(sizes)[:-1]
        return list(zip(np.split(weight, ends, axis=1), np.split(bias, ends), strict=True))

    def _masked(self, scores: str, mask: str) -> str:
        """Name of the scores with those of masked tokens made very low; `mask` is (batch, tokens), 1 for a token."""
        lowest = self.settings.get("mask_filter_value") or MASKED
        one = self._constant(f"{self.result}_one", np.array(1, dtype=np.float32))
        low = self._constant(f"{self.result}_low", np.array(lowest, dtype=np.float32))
        axes = self._constant(f"{self.result}_head_axis", np.array([1]))
        there = self._put("Cast", [mask], "mask", to=onnx.TensorProto.FLOAT)
        absent = self._put("Sub", [one, there], "absent")
        absent = self._put("Mul", [absent, low], "lowered")
        absent = self._put("Unsqueeze", [absent, axes], "everywhere")  # (batch, 1, tokens)
        return self._put("Add", [scores, absent], "masked")
