"""Modules that stand for a table of embeddings or a matrix, and keep two thin factors of it."""

from typing import Any

import torch


class LowRankEmbedding(torch.nn.Embedding):
    """A narrow table, and a matrix from its width to the model's.

    Args:
        like: the table that it stands for; the new weights are uninitialised, and where that one's are.
        rank: width of the narrow table.
    """

    def __init__(self, like: torch.nn.Embedding, rank: int) -> None:
        kind: dict[str, Any] = {"device": like.weight.device, "dtype": like.weight.dtype}
        super().__init__(like.num_embeddings, rank, padding_idx=like.padding_idx, **kind)
        self.expand = torch.nn.Linear(rank, like.embedding_dim, bias=False, **kind)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Look up and widen.

        Args:
            ids: (batch, tokens)

        Returns:
            (batch, tokens, width of the model)
        """
        wide: torch.Tensor = self.expand(super().forward(ids))
        return wide


class LowRankLinear(torch.nn.Module):
    """Two thin matrices, one after the other.

    Args:
        like: the matrix that they stand for; the new weights are uninitialised, and where that one's are.
        rank: channels between the two.
    """

    def __init__(self, like: torch.nn.Linear, rank: int) -> None:
        super().__init__()
        kind: dict[str, Any] = {"device": like.weight.device, "dtype": like.weight.dtype}
        self.reduce = torch.nn.Linear(like.in_features, rank, bias=False, **kind)
        self.expand = torch.nn.Linear(rank, like.out_features, bias=like.bias is not None, **kind)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        outputs: torch.Tensor = self.expand(self.reduce(hidden))
        return outputs

    @property
    def weight(self) -> torch.Tensor:
        """The product, (outputs, inputs)."""
        return self.expand.weight @ self.reduce.weight

    @property
    def bias(self) -> torch.nn.Parameter | None:
        """Of the outputs."""
        return self.expand.bias
