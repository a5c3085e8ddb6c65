"""Modules that replace a table of embeddings or a matrix by two thin factors."""

from typing import Any

import torch


class LowRankEmbedding(torch.nn.Embedding):
    """A table of embeddings as a narrow table and a matrix that widens its rows.

    Args:
        like: the table to replace; the new weights are uninitialised, on the same device.
        rank: width of the narrow table.
    """

    def __init__(self, like: torch.nn.Embedding, rank: int) -> None:
        kind: dict[str, Any] = {"device": like.weight.device, "dtype": like.weight.dtype}
        super().__init__(like.num_embeddings, rank, padding_idx=like.padding_idx, **kind)
        self.expand = torch.nn.Linear(rank, like.embedding_dim, bias=False, **kind)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The embeddings of tokens.

        Args:
            ids: (batch, tokens)

        Returns:
            (batch, tokens, width of the model)
        """
        wide: torch.Tensor = self.expand(super().forward(ids))
        return wide


class LowRankLinear(torch.nn.Module):
    """A linear layer as two thin matrices, one after the other.

    Args:
        like: the layer to replace; the new weights are uninitialised, on the same device.
        rank: channels between the two matrices.
    """

    def __init__(self, like: torch.nn.Linear, rank: int) -> None:
        super().__init__()
        kind: dict[str, Any] = {"device": like.weight.device, "dtype": like.weight.dtype}
        self.reduce = torch.nn.Linear(like.in_features, rank, bias=False, **kind)
        self.expand = torch.nn.Linear(rank, like.out_features, bias=like.bias is not None, **kind)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The outputs, (..., outputs), of hidden states (..., inputs)."""
        outputs: torch.Tensor = self.expand(self.reduce(hidden))
        return outputs

    @property
    def weight(self) -> torch.Tensor:
        """The product of the two matrices, (outputs, inputs)."""
        return self.expand.weight @ self.reduce.weight

    @property
    def bias(self) -> torch.nn.Parameter | None:
        """The bias of the outputs."""
        return self.expand.bias
