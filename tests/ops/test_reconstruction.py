import numpy as np
import pytest
import torch
from torch import nn

from compress.ops.reconstruction import Reconstruction


def _case(group: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray]:
    """Weight, hidden, target, and the matrix whose columns are what each group adds to all tokens' outputs."""
    torch.manual_seed(0)
    weight = nn.Linear(8, 6).double().weight.detach()
    hidden = torch.randn(40, 8, dtype=torch.float64)
    target = (hidden * torch.linspace(0.5, 2, 8)) @ weight.T + 0.1 * torch.randn(40, 6, dtype=torch.float64)
    parts = hidden[:, None, :] * weight  # (tokens, outputs, channels)
    return weight, hidden, target, parts.reshape(240, 8 // group, group).sum(dim=2).numpy()


@pytest.mark.parametrize("group", [1, 2, 4])
def test_factors_are_those_of_least_squares(group: int) -> None:
    weight, hidden, target, columns = _case(group)
    found = Reconstruction(weight, group)
    found.collect(hidden[:25], target[:25])
    found.collect(hidden[25:], target[25:])
    expected, squares, *_ = np.linalg.lstsq(columns, target.numpy().ravel(), rcond=None)
    scales = found.scales(damping=0.0)
    assert scales.tolist() == pytest.approx(expected.tolist(), rel=1e-8)
    assert found.error(scales) == pytest.approx(squares[0] / target.square().sum().item(), rel=1e-6)
    assert found.error(scales) < found.error(torch.ones_like(scales))


def test_damping_is_a_ridge_around_one() -> None:
    weight, hidden, target, columns = _case(2)
    found = Reconstruction(weight, 2)
    found.collect(hidden, target)
    pull = np.sqrt(0.1 * np.square(columns).sum(axis=0).mean())
    ridge = np.vstack([columns, pull * np.eye(4)])
    expected, *_ = np.linalg.lstsq(ridge, np.concatenate([target.numpy().ravel(), pull * np.ones(4)]), rcond=None)
    assert found.scales(damping=0.1).tolist() == pytest.approx(expected.tolist(), rel=1e-8)
    assert found.scales(damping=1e9).tolist() == pytest.approx([1.0] * 4)


def test_a_layer_that_lost_nothing_is_left_alone() -> None:
    weight, hidden, _, _ = _case(1)
    found = Reconstruction(weight, 1)
    found.collect(hidden, hidden @ weight.T)
    assert found.scales().tolist() == pytest.approx([1.0] * 8)
    assert found.error(torch.ones(8, dtype=torch.float64)) == pytest.approx(0, abs=1e-12)
