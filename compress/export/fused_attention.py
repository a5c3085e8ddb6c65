"""Attention exported as operators of onnxruntime, for a family whose attention its optimizer does not recognise."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from compress.export.biased_attention import attend, attention_node, heads_outputs, split_heads
from compress.export.deberta_attention import DebertaAttention, read_distances_once
from compress.models.architectures import ARCHITECTURES
from compress.models.reshape import base_model, layers_of


class _RotaryAttention(torch.autograd.Function):
    """Attention of all heads with rotary positions (Su et al. 2021, arXiv:2104.09864).

    In a traced graph it becomes com.microsoft.RotaryEmbedding and com.microsoft.MultiHeadAttention.
    """

    @staticmethod
    def forward(
        _: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        cosines: torch.Tensor,
        sines: torch.Tensor,
        bias: torch.Tensor,
        heads: int,
        scale: float,
    ) -> torch.Tensor:
        """The heads' outputs, (batch, tokens, channels).

        Args:
            query: (batch, tokens, channels), as are key and value; the heads' channels stand side by side.
            cosines: (tokens, head size / 2), as are sines.
            bias: (batch, 1, tokens, tokens), added to the scores.
        """

        def turned(part: torch.Tensor) -> torch.Tensor:
            first, second = part.chunk(2, dim=-1)
            return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)

        query, key, value = (split_heads(part, heads) for part in (query, key, value))
        return heads_outputs(turned(query), turned(key), value, bias, scale)

    @staticmethod
    def symbolic(
        graph: Any, query: Any, key: Any, value: Any, cosines: Any, sines: Any, bias: Any, heads: int, scale: float
    ) -> Any:
        """The same computation as nodes of a graph."""
        start = graph.op("Constant", value_t=torch.zeros(1, dtype=torch.int64))  # position of the first token

        def turned(part: Any) -> Any:
            node = graph.op("com.microsoft::RotaryEmbedding", part, start, cosines, sines, num_heads_i=heads)
            return node.setType(part.type())

        return attention_node(graph, turned(query), turned(key), value, bias, heads, scale)


class _ModernBertAttention(torch.nn.Module):
    """ModernBERT's attention while a model is traced, in place of transformers' own; without dropout."""

    def __init__(self, attention: Any, _: Any) -> None:
        super().__init__()
        self.Wqkv, self.Wo, self.head_dim = attention.Wqkv, attention.Wo, attention.head_dim

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """The attention's output; arguments as in transformers' class: cosines and sines are (1, tokens, head size)."""
        query, key, value = self.Wqkv(hidden_states).split(self.Wo.in_features, dim=-1)
        cosines, sines = (part[0, :, : self.head_dim // 2] for part in position_embeddings)
        heads = self.Wo.in_features // self.head_dim
        scale = self.head_dim**-0.5
        parts = (query, key, value, cosines, sines, attention_mask)
        attended = _RotaryAttention.apply(*parts, heads, scale)  # type: ignore[no-untyped-call]
        return self.Wo(attended), None


class _AlbertAttention(torch.nn.Module):
    """ALBERT's attention while a model is traced: onnxruntime does not know the first one, which follows no norm."""

    def __init__(self, attention: Any, _: Any) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> tuple[torch.Tensor, None]:
        """The attention's output; arguments as in transformers' class."""
        own = self.attention
        query, key, value = (part(hidden_states) for part in (own.query, own.key, own.value))
        attended = attend(query, key, value, attention_mask, own.num_attention_heads, own.scaling)
        return own.LayerNorm(hidden_states + own.dense(attended)), None


class _MPNetAttention(torch.nn.Module):
    """MPNet's attention while a model is traced, with the biases of the distances between tokens."""

    def __init__(self, attention: Any, _: Any) -> None:
        super().__init__()
        self.attention = attention
        self.columns = getattr(attention, "bias_heads", None)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor, position_bias: torch.Tensor, **_: Any
    ) -> tuple[torch.Tensor]:
        """The attention's output; arguments as in transformers' class."""
        own = self.attention
        biases = position_bias if self.columns is None else position_bias[:, self.columns]
        query, key, value = (part(hidden_states) for part in (own.q, own.k, own.v))
        scale = own.attention_head_size**-0.5
        return (own.o(attend(query, key, value, biases + attention_mask, own.num_attention_heads, scale)),)


REPLACED: Mapping[str, Callable[[Any, Any], torch.nn.Module]] = {
    "albert": _AlbertAttention,
    "deberta-v2": DebertaAttention,
    "modernbert": _ModernBertAttention,
    "mpnet": _MPNetAttention,
}
"""Family -> the module that replaces its attention while a model is traced, made from it and the encoder."""


def fuse_attention(model: Any) -> None:
    """Replace a model's attention, in place, by one that is traced fused, for families that onnxruntime does not fuse.

    Args:
        model: a model of a family in `ARCHITECTURES`, with eager attention, in evaluation mode.
    """
    replaced = REPLACED.get(model.config.model_type)
    if replaced is None:
        return
    architecture = ARCHITECTURES[model.config.model_type]
    encoder = base_model(model).encoder if "." in architecture.layers else None
    if model.config.model_type == "deberta-v2":
        read_distances_once(encoder)
    for layer in layers_of(model, architecture):
        layer.set_submodule(architecture.attention, replaced(layer.get_submodule(architecture.attention), encoder))
