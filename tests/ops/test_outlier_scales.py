import numpy as np
import pytest

from compress.ops.outlier_scales import outlier_scales


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8, 1.0])
def test_a_product_stays_and_outliers_move(alpha: float) -> None:
    random = np.random.default_rng(0)
    inputs, weights = random.standard_normal((50, 8)), random.standard_normal((8, 6))
    inputs[:, 3] *= 100
    largest = np.abs(inputs).max(0), np.abs(weights).max(1)
    scales = outlier_scales(*largest, alpha)
    assert np.allclose((inputs / scales) @ (weights * scales[:, None]), inputs @ weights)
    assert np.allclose(largest[0] / scales, largest[0] ** (1 - alpha) * largest[1] ** (1 - alpha))
    if alpha == 0.5:  # both sides have the same range
        assert np.allclose(largest[0] / scales, largest[1] * scales)


def test_channels_that_are_always_zero_are_left() -> None:
    scales = outlier_scales(np.array([0.0, 2.0, 1.0]), np.array([1.0, 0.0, 4.0]), 0.5)
    assert scales.tolist() == [1.0, 1.0, 0.5]
