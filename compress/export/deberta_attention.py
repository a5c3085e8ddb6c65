"""DeBERTa's disentangled attention (He et al. 2021, arXiv:2006.03654) in a form that makes a small and fast graph.

The projections of the embeddings of distances depend on no text, so each layer gets them as tables. In place of the
scores of all distances, from which transformers gathers those of each pair of tokens, only the distances that a text
has are scored, in such an order that a reshape puts each score in its place. What is multiplied here are activations
and small tables, which quantizers leave in float.
"""

from typing import Any

import torch

from compress.export.biased_attention import attend, split_heads


class DebertaAttention(torch.nn.Module):
    """The attention of DeBERTa-v2 and v3 while a model is traced, in place of transformers' own; without dropout.

    Args:
        attention: transformers' module.
        encoder: the encoder that it belongs to, prepared by `read_distances_once`.
    """

    def __init__(self, attention: Any, encoder: Any) -> None:
        super().__init__()
        self.attention = attention
        kinds = attention.pos_att_type if attention.relative_attention else ()
        terms = 1 + sum(kind in attention.pos_att_type for kind in ("c2p", "p2c"))
        self.heads, self.scale = attention.num_attention_heads, (terms * attention.attention_head_size) ** -0.5
        names = ("key_proj", "query_proj") if attention.share_att_key else ("pos_key_proj", "pos_query_proj")
        self.tables: dict[str, torch.Tensor] = {}
        for kind, name in zip(("c2p", "p2c"), names, strict=True):
            if kind in kinds:
                self.tables[kind] = self._table(getattr(attention, name), encoder)

    def _table(self, projection: torch.nn.Linear, encoder: Any) -> torch.Tensor:
        """The projected embeddings of all distances, scaled, (distances, heads, head size)."""
        with torch.no_grad():
            embeddings = encoder.get_rel_embedding()[: 2 * self.attention.pos_ebd_size]
            projected: torch.Tensor = projection(embeddings) * self.scale
            return projected.reshape(len(projected), self.heads, -1)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        *_: Any,
        relative_pos: tuple[torch.Tensor, torch.Tensor, int] | None = None,
        **__: Any,
    ) -> tuple[torch.Tensor, None]:
        """The heads' outputs, (batch, tokens, channels).

        Args:
            hidden_states: (batch, tokens, width)
            attention_mask: added to the scores, (batch, 1, 1, tokens)
            relative_pos: the rows of the tables for falling and for rising distances, (2 x tokens,) each; tokens.
        """
        own = self.attention
        query, key, value = (part(hidden_states) for part in (own.query_proj, own.key_proj, own.value_proj))
        bias = attention_mask
        if relative_pos is not None:
            falling, rising, tokens = relative_pos
            if "c2p" in self.tables:
                bias = bias + _by_distance(split_heads(query, self.heads), self.tables["c2p"][falling], tokens)
            if "p2c" in self.tables:
                by_key = _by_distance(split_heads(key, self.heads), self.tables["p2c"][rising], tokens)
                bias = bias + by_key.transpose(2, 3)
        if bias is attention_mask:
            bias = bias.expand(-1, -1, hidden_states.shape[1], -1)  # the operator wants a line for each token
        return attend(query, key, value, bias, self.heads, self.scale), None


def _by_distance(states: torch.Tensor, rows: torch.Tensor, tokens: int) -> torch.Tensor:
    """The products of each token with the rows of its distances to all tokens, (batch, heads, tokens, tokens).

    In the line of token i, the distance to token 0 stands at tokens - 1 - i, and those to the others follow. So all
    lines as one, without the first tokens - 1 numbers and the last, and cut again into lines shorter by one, are in
    order.

    Args:
        states: (batch, heads, tokens, head size)
        rows: (2 x tokens, heads, head size), of distances one apart.
    """
    products = states @ rows.permute(1, 2, 0)  # (batch, heads, tokens, 2 x tokens)
    heads = int(rows.shape[1])
    line = products.reshape(-1, heads, 2 * tokens * tokens)[..., tokens - 1 : -1]
    return line.reshape(-1, heads, tokens, 2 * tokens - 1)[..., :tokens]


def read_distances_once(encoder: Any) -> None:
    """Make an encoder prepare masks and distances as `DebertaAttention` reads them, once for all layers, in place."""
    if encoder.relative_attention:
        furthest = encoder.max_relative_positions + 1
        row_of = _rows(encoder, furthest)

    def masks(attention_mask: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        return added

    def distances(hidden_states: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor, int] | None:
        if not encoder.relative_attention:
            return None
        tokens = hidden_states.shape[1]
        rising = torch.arange(2 * tokens) - (tokens - 1)
        falling, rising = (row_of[part.clamp(-furthest, furthest) + furthest] for part in (-rising, rising))
        return falling, rising, tokens

    encoder.get_attention_mask, encoder.get_rel_pos = masks, distances


def _rows(encoder: Any, furthest: int) -> torch.Tensor:
    """The row of the table for each distance from -`furthest` to `furthest`; beyond, rows are as at the ends."""
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    distances = torch.arange(-furthest, furthest + 1)
    span, buckets = encoder.max_relative_positions, encoder.position_buckets
    if buckets > 0:
        distances, span = make_log_bucket_position(distances, buckets, span).long(), buckets
    rows: torch.Tensor = (distances + span).clamp(0, 2 * span - 1)
    return rows
