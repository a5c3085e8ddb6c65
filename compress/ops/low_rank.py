"""Matrices as products of two thin matrices."""

import torch


def low_rank(
    matrix: torch.Tensor, rank: int, row_weights: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """The product of two thin matrices that is nearest to a matrix.

    Truncated singular value decomposition (Eckart & Young 1936, doi:10.1007/BF02288367); with weights it minimises the
    weighted sum of the rows' squared errors, each row being projected onto the same few directions.

    Args:
        matrix: (rows, columns), any float.
        rank: at most min(rows, columns).
        row_weights: (rows,), above 0. None: all rows count equally.

    Returns:
        left: (rows, rank), in the matrix's type.
        right: (rank, columns) of orthonormal rows; left @ right is near to the matrix.
        kept: share of the (weighted) squared norm that the product keeps.
    """
    whole = matrix.detach().double()
    scales = torch.ones(len(whole), dtype=torch.float64) if row_weights is None else row_weights.double().sqrt()
    weighted = whole * scales[:, None].to(whole.device)
    _, values, directions = torch.linalg.svd(weighted, full_matrices=False)
    right = directions[:rank]
    squares = values.square()
    kept_share = float(squares[:rank].sum() / squares.sum().clamp(min=torch.finfo(torch.float64).tiny))
    return (whole @ right.T).to(matrix.dtype), right.to(matrix.dtype).contiguous(), kept_share
