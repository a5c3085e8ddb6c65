import numpy as np
import pytest
import torch

from compress.ops.low_rank import low_rank


@pytest.mark.parametrize("size", [(8, 6), (6, 8)])
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_product_is_the_truncated_singular_value_decomposition(size: tuple[int, int], rank: int) -> None:
    torch.manual_seed(0)
    matrix = torch.nn.Linear(*size).weight
    left, right, kept = low_rank(matrix, rank)
    vectors, values, directions = np.linalg.svd(matrix.detach().numpy().astype(np.float64), full_matrices=False)
    nearest = (vectors[:, :rank] * values[:rank]) @ directions[:rank]
    assert np.allclose((left @ right).detach().numpy(), nearest, atol=1e-6)
    assert (left.shape[1], right.shape[0], left.dtype) == (rank, rank, torch.float32)
    assert torch.allclose(right @ right.T, torch.eye(rank), atol=1e-6)
    assert kept == pytest.approx((values[:rank] ** 2).sum() / (values**2).sum())


def test_weighted_rows_have_the_least_weighted_error() -> None:
    torch.manual_seed(1)
    matrix = torch.randn(20, 7, dtype=torch.float64)
    weights = torch.rand(20, dtype=torch.float64) * 10
    left, right, kept = low_rank(matrix, 3, weights)
    error = (weights[:, None] * (matrix - left @ right) ** 2).sum()
    scaled = np.linalg.svd((weights.sqrt()[:, None] * matrix).numpy(), compute_uv=False)
    assert float(error) == pytest.approx((scaled[3:] ** 2).sum())  # Eckart & Young: no product of rank 3 has less
    assert kept == pytest.approx((scaled[:3] ** 2).sum() / (scaled**2).sum())
    plain_left, plain_right, _ = low_rank(matrix, 3)
    assert (weights[:, None] * (matrix - plain_left @ plain_right) ** 2).sum() > 1.01 * error


def test_a_row_that_weighs_all_is_kept_exactly() -> None:
    torch.manual_seed(2)
    matrix = torch.randn(5, 4)
    weights = torch.tensor([1e9, 1.0, 1.0, 1.0, 1.0])
    left, right, _ = low_rank(matrix, 1, weights)
    assert torch.allclose((left @ right)[0], matrix[0], atol=1e-4)
