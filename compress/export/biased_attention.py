"""Attention with biases for pairs of tokens, as one operator of onnxruntime."""

from typing import Any

import torch
from torch.onnx.symbolic_helper import _optional_input_placeholder_tensor


class _BiasedAttention(torch.autograd.Function):
    """Attention of all heads with a bias for each pair of tokens; traced, it is com.microsoft.MultiHeadAttention."""

    @staticmethod
    def forward(
        _: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor,
        heads: int,
        scale: float,
    ) -> torch.Tensor:
        """The heads' outputs, (batch, tokens, channels).

        Args:
            query: (batch, tokens, channels), as are key and value; the heads' channels stand side by side.
            bias: added to the scores; (batch or 1, heads or 1, tokens, tokens).
        """
        query, key, value = (split_heads(part, heads) for part in (query, key, value))
        return heads_outputs(query, key, value, bias, scale)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, bias: Any, heads: int, scale: float) -> Any:
        """The same computation as a node of a graph."""
        return attention_node(graph, query, key, value, bias, heads, scale)


def heads_outputs(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor, scale: float
) -> torch.Tensor:
    """The heads' outputs, (batch, tokens, channels).

    Args:
        query: (batch, heads, tokens, head size), as are key and value.
        bias: added to the scores, which are (batch, heads, tokens, tokens).
    """
    scores = query @ key.transpose(2, 3) * scale + bias
    return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)


def attention_node(graph: Any, query: Any, key: Any, value: Any, bias: Any, heads: int, scale: float) -> Any:
    """Attention with a bias as com.microsoft.MultiHeadAttention; the tensors are as in `_BiasedAttention`."""
    absent = _optional_input_placeholder_tensor(graph)  # type: ignore[no-untyped-call]  # a bias of the projections, a mask of keys
    inputs = (query, key, value, absent, absent, bias)
    node = graph.op("com.microsoft::MultiHeadAttention", *inputs, num_heads_i=heads, scale_f=scale)
    return node.setType(query.type())


def split_heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """(batch, heads, tokens, head size) of states (batch, tokens, channels)."""
    return states.reshape(*states.shape[:2], heads, -1).transpose(1, 2)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor, heads: int, scale: float
) -> torch.Tensor:
    """The heads' outputs; arguments as in `_BiasedAttention`."""
    attended: torch.Tensor = _BiasedAttention.apply(query, key, value, bias, heads, scale)  # type: ignore[no-untyped-call]
    return attended
