"""4-bit weights against what they stand for, and against each other."""

import numpy as np
import pytest

from compress.graphs.write_blocks import packed, packed_zeros
from compress.ops.blockwise import (
    SHARES,
    SIZES,
    Blocks,
    codes_of,
    fitting_size,
    grid,
    in_blocks,
    least_error_grid,
    round_to_nearest,
)
from compress.ops.gptq import gptq
from compress.ops.hqq import NORM, half_quadratic


def matrix(outputs: int = 24, inputs: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((outputs, inputs)).astype(np.float32)


def moments_of(inputs: np.ndarray) -> np.ndarray:
    return inputs.T @ inputs / len(inputs)


def correlated(rows: int, width: int, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, width // 4)) @ random.standard_normal((width // 4, width))


@pytest.mark.parametrize("zero_bits", [0, 4, 32])
@pytest.mark.parametrize("at_most", [16, 64, 128, 256])
@pytest.mark.parametrize("inputs", [32, 96, 128, 160, 312, 320, 384])
def test_a_fitting_size_takes_the_fewest_bytes_as_they_are_written(inputs: int, at_most: int, zero_bits: int) -> None:
    def written(size: int) -> int:
        found = round_to_nearest(matrix(6, inputs), 4, size, symmetric=zero_bits == 0)
        zeros = {0: found.zeros[:, :0], 4: found.zeros, 32: found.zeros.astype(np.float32)}[zero_bits]
        return packed(found.codes, 4).nbytes + found.scales.nbytes + packed_zeros(zeros, 4).nbytes

    size = fitting_size(inputs, 4, at_most, zero_bits)
    least = min(written(other) for other in SIZES if other <= at_most)
    assert size == max(other for other in SIZES if other <= at_most and written(other) == least)


def test_blocks_that_divide_the_inputs_cost_less_and_are_finer_than_those_that_do_not() -> None:
    assert [fitting_size(inputs, 4, 128, 0) for inputs in (96, 160, 320, 384)] == [32, 32, 64, 128]
    weights = matrix(640, 160)
    fitting, larger = (round_to_nearest(weights, 4, size, symmetric=True) for size in (32, 128))
    bits = [8 * (packed(found.codes, 4).nbytes + found.scales.nbytes) / weights.size for found in (fitting, larger)]
    assert bits == [5.0, 6.8]
    assert ((fitting.weights(160) - weights) ** 2).mean() < 0.8 * ((larger.weights(160) - weights) ** 2).mean()


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
def test_without_correlation_gptq_rounds_to_the_nearest_code_of_its_grid(symmetric: bool) -> None:
    weights = matrix()
    found = gptq(weights, np.eye(80), 4, 32, symmetric=symmetric)
    nearest = codes_of(in_blocks(weights, 32), found.scales[..., None], found.zeros[..., None], 4)
    assert np.array_equal(found.codes, nearest)


@pytest.mark.parametrize("symmetric", [True, False])
def test_without_correlation_and_search_gptq_rounds_to_nearest(
    symmetric: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.ops.blockwise.SHARES", [1.0])
    weights = matrix()
    ours, nearest = (
        gptq(weights, np.eye(80), 4, 16, symmetric=symmetric),
        round_to_nearest(weights, 4, 16, symmetric=symmetric),
    )
    assert np.array_equal(ours.codes, nearest.codes)
    assert np.array_equal(ours.scales, nearest.scales)
    assert np.array_equal(ours.zeros, nearest.zeros)


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_grid_of_least_error_is_that_of_the_best_narrower_range(symmetric: bool) -> None:
    blocks = in_blocks(np.random.default_rng(8).standard_t(4, (16, 128)).astype(np.float32), 64)
    importance = np.random.default_rng(9).uniform(0.1, 10, (2, 64))

    def errors(scales: np.ndarray, zeros: np.ndarray) -> np.ndarray:
        codes = codes_of(blocks, scales[..., None], zeros[..., None], 4)
        return (importance * (blocks - Blocks(codes, scales, zeros).weights(128).reshape(blocks.shape)) ** 2).sum(-1)

    found = errors(*least_error_grid(blocks, 4, symmetric=symmetric, importance=importance))
    tried = [errors(*grid(blocks * share, 4, symmetric=symmetric)) for share in SHARES.tolist()]
    assert np.allclose(found, np.min(tried, axis=0))
    assert found.sum() < 0.95 * tried[0].sum()
    plain = errors(*least_error_grid(blocks, 4, symmetric=symmetric))
    assert found.sum() < plain.sum()


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


def damped(seen: np.ndarray) -> np.ndarray:
    moments = moments_of(seen)
    return moments + 0.01 * np.diag(moments).mean() * np.eye(len(moments))


def greedy(weights: np.ndarray, moments: np.ndarray, order: np.ndarray, like: Blocks) -> Blocks:
    """After a column is rounded, the rest becomes what least squares says (equations 2 and 3 of OBQ)."""
    left, codes = weights.astype(np.float64), np.repeat(like.zeros[..., None], like.codes.shape[-1], -1)
    for place, column in enumerate(order):
        block, within = divmod(int(column), like.codes.shape[-1])
        scale, zero = like.scales[:, block].astype(np.float64), like.zeros[:, block].astype(np.float64)
        code = np.clip(np.rint(left[:, column] / np.where(scale == 0, 1, scale) + zero), 0, 15)
        codes[:, block, within] = code
        # min over d of (r; d)ᵀ M (r; d), r the error made: d = -M_rest⁻¹ M_rest,column r
        made, rest = (code - zero) * scale - left[:, column], order[place + 1 :]
        left[:, rest] -= np.outer(made, np.linalg.solve(moments[np.ix_(rest, rest)], moments[rest, column]))
    return Blocks(codes, like.scales, like.zeros)


def uneven(rows: int, width: int, seed: int) -> np.ndarray:
    """Inputs of which some are many times larger than others, as those of a network are."""
    random = np.random.default_rng(seed)
    return correlated(rows, width, seed) * np.exp(random.standard_normal(width)) + random.standard_normal((rows, width))


@pytest.mark.parametrize("symmetric", [True, False])
def test_gptq_is_the_greedy_solution_of_its_least_squares_problem(symmetric: bool) -> None:
    weights, seen = matrix(6, 150), uneven(2000, 150, 3)
    found = gptq(weights, moments_of(seen), 4, 32, symmetric=symmetric)
    largest_first = np.argsort(-np.diag(moments_of(seen)))
    expected = greedy(weights, damped(seen), largest_first, found)
    assert (found.codes == expected.codes).mean() > 0.999, "but for ties"


@pytest.mark.parametrize("seed", range(4))
def test_gptq_errs_less_with_the_largest_inputs_first_and_than_rounding_to_nearest(seed: int) -> None:
    weights, seen = matrix(48, 80, seed), uneven(1200, 80, seed)
    found = gptq(weights, moments_of(seen), 4, 32, symmetric=True)
    natural = greedy(weights, damped(seen), np.arange(80), found)
    nearest = round_to_nearest(weights, 4, 32, symmetric=True)
    ours = error_on(seen, weights, found)
    assert ours < 0.95 * error_on(seen, weights, natural)
    assert ours < 0.5 * error_on(seen, weights, nearest)


def test_the_order_in_which_inputs_stand_changes_nothing() -> None:
    """Within a block, and of whole blocks."""
    weights, moments = matrix(12, 96), moments_of(uneven(800, 96, 5))
    random = np.random.default_rng(6)
    places = (random.permutation(3)[:, None] * 32 + random.permuted(np.tile(np.arange(32), (3, 1)), axis=1)).ravel()
    found = gptq(weights, moments, 4, 32, symmetric=False)
    other = gptq(weights[:, places], moments[np.ix_(places, places)], 4, 32, symmetric=False)
    assert np.array_equal(other.codes.reshape(12, -1), found.codes.reshape(12, -1)[:, places])


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
