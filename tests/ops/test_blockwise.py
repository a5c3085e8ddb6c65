"""4-bit weights against what they stand for, and against each other."""

import numpy as np
import pytest

from compress.ops.blockwise import Blocks, in_blocks, round_to_nearest
from compress.ops.gptq import gptq
from compress.ops.hqq import NORM, half_quadratic


def matrix(outputs: int = 24, inputs: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((outputs, inputs)).astype(np.float32)


def moments_of(inputs: np.ndarray) -> np.ndarray:
    return inputs.T @ inputs / len(inputs)


def correlated(rows: int, width: int, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, width // 4)) @ random.standard_normal((width // 4, width))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("inputs", [64, 80])
def test_each_weight_is_within_half_a_step_or_at_the_end_of_its_range(bits: int, symmetric: bool, inputs: int) -> None:
    weights = matrix(inputs=inputs)
    found = round_to_nearest(weights, bits, 32, symmetric=symmetric)
    error = np.abs(in_blocks(found.weights(inputs) - weights, 32))
    step = np.abs(found.scales)[..., None]
    inside = found.codes < 2**bits - 1
    assert (error <= 0.5001 * step)[inside].all()
    assert (error <= 1.0001 * step).all()
    assert found.codes.shape == (24, -(-inputs // 32), 32)
    assert found.codes.max() < 2**bits


def test_weights_on_the_grid_are_exact() -> None:
    random = np.random.default_rng(3)
    codes = random.integers(0, 16, (6, 2, 16))
    codes[..., 0], codes[..., 1] = 0, 15  # so that the range is that of the codes
    weights = ((codes - 8) * 0.25).reshape(6, 32).astype(np.float32)
    for found in (
        round_to_nearest(weights, 4, 16, symmetric=True),
        round_to_nearest(weights, 4, 16, symmetric=False),
        half_quadratic(weights, 4, 16),
        gptq(weights, np.eye(32), 4, 16, symmetric=True),
    ):
        assert np.allclose(found.weights(32), weights, atol=1e-6)


def test_a_block_of_zeros_stays_one() -> None:
    weights = matrix()
    weights[:, 32:64] = 0
    for found in (
        round_to_nearest(weights, 4, 32, symmetric=True),
        round_to_nearest(weights, 4, 32, symmetric=False),
        half_quadratic(weights, 4, 32),
        gptq(weights, np.eye(80), 4, 32, symmetric=False),
    ):
        assert (found.weights(80)[:, 32:64] == 0).all()


@pytest.mark.parametrize("symmetric", [True, False])
def test_without_correlation_gptq_rounds_to_nearest(symmetric: bool) -> None:
    weights = matrix()
    ours, nearest = (
        gptq(weights, np.eye(80), 4, 16, symmetric=symmetric),
        round_to_nearest(weights, 4, 16, symmetric=symmetric),
    )
    assert np.array_equal(ours.codes[..., :5], nearest.codes[..., :5])
    assert np.allclose(ours.scales, nearest.scales)


def error_on(inputs: np.ndarray, weights: np.ndarray, found: Blocks) -> float:
    return float((((found.weights(weights.shape[1]) - weights) @ inputs.T) ** 2).mean())


@pytest.mark.parametrize("seed", range(4))
def test_gptq_errs_less_on_inputs_to_come_than_rounding_to_nearest(seed: int) -> None:
    both = correlated(1200, 80, seed)
    seen, unseen = both[:800], both[800:]
    weights = matrix(seed=seed)
    nearest = round_to_nearest(weights, 4, 32, symmetric=False)
    assert error_on(unseen, weights, gptq(weights, moments_of(seen), 4, 32, symmetric=False)) < 0.5 * error_on(
        unseen, weights, nearest
    )


def test_gptq_is_the_greedy_solution_of_its_least_squares_problem() -> None:
    """After a column is rounded, the rest must be what least squares says (equations 2 and 3 of OBQ)."""
    weights, seen = matrix(1, 4), correlated(50, 8)[:, :4]
    moments = moments_of(seen) + 0.01 * np.diag(moments_of(seen)).mean() * np.eye(4)
    found = gptq(weights, moments_of(seen), 4, 16, symmetric=True)
    left, scale = weights[0].astype(np.float64), float(found.scales[0, 0])
    for column in range(4):
        code = float(np.clip(np.rint(left[column] / scale + 8), 0, 15))
        assert code == found.codes[0, 0, column]
        rounded = (code - 8) * scale
        rest = slice(column + 1, 4)
        if column < 3:
            # min over d of (r; d)ᵀ M (r; d), r the error made: d = -M_rest⁻¹ M_rest,column r
            made = rounded - left[column]
            left[rest] -= np.linalg.solve(moments[rest, rest], moments[rest, column]) * made
        left[column] = rounded


def test_inputs_that_are_never_there_do_no_harm() -> None:
    seen = correlated(400, 80)
    seen[:, 7] = 0
    found = gptq(matrix(), moments_of(seen), 4, 32, symmetric=False)
    assert np.isfinite(found.weights(80)).all()
    with pytest.raises(ValueError, match="no numbers"):
        gptq(matrix(), moments_of(seen) * np.nan, 4, 32, symmetric=False)


def test_half_quadratic_never_errs_more_in_its_norm_and_less_in_sum() -> None:
    weights = np.random.default_rng(5).standard_t(3, (64, 250)).astype(np.float32)
    nearest = round_to_nearest(weights, 4, 64, symmetric=False)
    ours = half_quadratic(weights, 4, 64)
    before, after = ((np.abs(in_blocks(found.weights(250) - weights, 64)) ** NORM).sum(-1) for found in (nearest, ours))
    assert (after <= before + 1e-4).all()
    assert after.sum() < 0.97 * before.sum()


def test_half_quadratic_does_not_look_at_what_fills_the_last_block_up() -> None:
    weights = matrix(64, 160)
    whole, tail = half_quadratic(weights, 4, 128), half_quadratic(np.ascontiguousarray(weights[:, 128:]), 4, 32)
    assert np.array_equal(whole.codes[:, 1, :32], tail.codes[:, 0])
    assert np.array_equal(whole.scales[:, 1], tail.scales[:, 0])
    assert np.allclose(whole.zeros[:, 1], tail.zeros[:, 0], atol=1e-5)
    nearest = round_to_nearest(weights, 4, 128, symmetric=False)
    ours, theirs = (
        (np.abs(found.weights(160) - weights)[:, 128:] ** NORM).sum(1).astype(np.float64) for found in (whole, nearest)
    )
    assert (ours <= theirs * 1.0001).all()
    assert ours.sum() < 0.97 * theirs.sum()
