"""Matrices in 8 bits, against what rounding may lose."""

import numpy as np
import pytest

from compress.ops.int8 import largest_code, round_columns


def weights() -> np.ndarray:
    found = np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32)
    found[:, 2] *= 100
    found[:, 4] = 0
    return found


@pytest.mark.parametrize("largest", [64, 127])
def test_each_weight_is_within_half_a_step_and_each_output_uses_all_codes(largest: int) -> None:
    codes, scales = round_columns(weights(), largest)
    assert codes.dtype == np.int8
    assert (np.abs(codes * scales - weights()) <= 0.5001 * scales).all()
    assert np.abs(codes).max(0).tolist() == [largest, largest, largest, largest, 0, largest]


def test_one_scale_for_all_outputs_is_that_of_the_largest_weight() -> None:
    codes, scales = round_columns(weights(), 127, per_channel=False)
    assert scales.shape == (6,)
    assert scales == pytest.approx(np.full(6, np.abs(weights()).max() / 127))
    assert np.abs(codes[:, 0]).max() <= 2, "the small outputs are lost, which is why each has its own by default"


def test_seven_bits_cannot_saturate_16_bit_sums() -> None:
    assert 2 * 255 * largest_code(reduce_range=True) < 2**15 <= 2 * 255 * largest_code(reduce_range=False)
