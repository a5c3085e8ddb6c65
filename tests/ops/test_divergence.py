"""The divergence of logits, against the library's of probabilities."""

import numpy as np
import pytest
from scipy import stats

from compress.ops.divergence import divergence


def test_divergence_is_that_of_the_softmaxes() -> None:
    before, after = np.random.default_rng(0).standard_normal((2, 5, 3))
    first, second = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True) for logits in (before, after))
    assert divergence(before, after) == pytest.approx(stats.entropy(first, second, axis=-1).mean())
    assert divergence(before, before) == 0


def test_large_logits_are_numbers_still() -> None:
    logits = np.array([[3000.0, 0.0], [0.0, -3000.0]], dtype=np.float32)
    assert divergence(logits, logits) == 0
    assert divergence(logits, logits - 7) == pytest.approx(0)
    assert divergence(logits, logits[:, ::-1]) == pytest.approx(3000)
