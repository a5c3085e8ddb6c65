import numpy as np
import pytest
import torch

from compress.ops.several_teachers import averaged_logits


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_softened_distribution_is_the_mean_of_the_teachers(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32) * 3
    exponents = np.exp(logits / temperature)
    expected = (exponents / exponents.sum(-1, keepdims=True)).mean(axis=1)  # (batch, classes)
    found = averaged_logits(torch.from_numpy(logits), temperature)
    assert np.abs(torch.softmax(found / temperature, -1).numpy() - expected).max() < 1e-6


def test_one_teacher_says_what_it_says() -> None:
    logits = torch.randn(4, 1, 3)
    difference = averaged_logits(logits, 2.0) - logits[:, 0]
    assert (difference - difference.mean(-1, keepdim=True)).abs().max().item() < 1e-5
