"""Principal directions and fitted norms, against numpy and against what they were made from."""

import numpy as np
import pytest
import torch

from compress.ops.projection import fit_norm, principal_directions


def test_directions_keep_what_the_singular_values_say() -> None:
    torch.manual_seed(0)
    states = torch.randn(200, 12) @ torch.randn(12, 12) + 3  # not centred: what is common to all rows counts too
    directions, kept = principal_directions(states, 5)
    values = np.linalg.svd(states.numpy(), compute_uv=False) ** 2
    assert kept == pytest.approx(values[:5].sum() / values.sum(), abs=1e-6)
    assert torch.allclose(directions.T @ directions, torch.eye(5), atol=1e-5)
    left = states - states @ directions @ directions.T
    assert float(left.square().sum()) == pytest.approx(values[5:].sum(), rel=1e-4)


def test_a_norm_is_found_again() -> None:
    torch.manual_seed(0)
    before, scale, bias = torch.randn(50, 6), torch.randn(6), torch.randn(6)
    after = torch.nn.functional.layer_norm(before, (6,), scale, bias)
    assert torch.allclose(fit_norm(before, after), torch.stack([scale, bias]), atol=1e-4)
