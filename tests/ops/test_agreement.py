"""Agreement beyond chance."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from compress.ops.agreement import cohens_kappa


def test_agreement_beyond_chance_is_cohens_kappa() -> None:
    """Cohen's own example, of two diagnosticians."""
    pairs = [(0, 0)] * 44 + [(0, 1)] * 5 + [(0, 2)] * 1 + [(1, 0)] * 7 + [(1, 1)] * 20 + [(1, 2)] * 3
    pairs += [(2, 0)] * 9 + [(2, 1)] * 5 + [(2, 2)] * 6
    before, after = np.array(pairs).T
    chance = 0.5 * 0.6 + 0.3 * 0.3 + 0.2 * 0.1
    assert cohens_kappa(before, after) == pytest.approx((0.7 - chance) / (1 - chance))
    assert cohens_kappa(before, after) == pytest.approx(0.492, abs=5e-4)
    random = np.random.default_rng(0).integers(0, 4, (2, 200))
    assert cohens_kappa(*random) == pytest.approx(cohen_kappa_score(*random))
    always = np.zeros(len(pairs), int)
    assert cohens_kappa(before, always) == 0
    assert cohens_kappa(before, before) == 1
    assert cohens_kappa(np.array([0] * 90 + [1] * 9), always[:99]) is None, "nine rows cannot tell"
