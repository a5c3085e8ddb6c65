"""The divergence of logits, against the library's of probabilities."""

import numpy as np
import pytest
from scipy import stats

from compress.ops.divergence import divergence, logit_error


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


def test_the_error_of_logits_is_a_share_of_their_spread_over_the_classes() -> None:
    before, noise = np.random.default_rng(1).standard_normal((2, 50, 4))
    common = np.arange(50)[:, None]
    assert logit_error(before, before + common) == pytest.approx(0, abs=1e-12)
    assert logit_error(before, 1.1 * before) == pytest.approx(0.1)
    apart = [logits - logits.mean(1, keepdims=True) for logits in (before, noise)]
    sizes = [np.sqrt(np.square(logits).sum()) for logits in apart]
    assert logit_error(before, before + 0.01 * noise) == pytest.approx(0.01 * sizes[1] / sizes[0])
    assert logit_error(np.ones((2, 3)), np.ones((2, 3))) == 0
    assert logit_error(np.ones((2, 3)), before[:2, :3]) == np.inf
