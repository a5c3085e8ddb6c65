"""The nearest rows of a table."""

import torch
from torch.nn import functional

CHUNK = 1024
"""Queries that are compared at once; with 30,000 rows this takes 120 MB."""


def nearest(table: torch.Tensor, queries: torch.Tensor, count: int) -> torch.Tensor:
    """The rows of a table that are nearest to given rows by cosine.

    Args:
        table: (rows, width).
        queries: (queries,) indices of rows.
        count: number of neighbours; at most rows - 1.

    Returns:
        (queries, count) indices, the nearest first; the query's own row is left out.
    """
    directions = functional.normalize(table.detach().float(), dim=-1)  # (rows, width)
    neighbours = []
    for part in torch.split(queries, CHUNK):
        cosines = directions[part] @ directions.T  # (part, rows)
        cosines.scatter_(1, part[:, None], -torch.inf)
        neighbours.append(cosines.topk(count, dim=-1).indices)
    return torch.cat(neighbours) if neighbours else torch.empty(0, count, dtype=torch.long)
