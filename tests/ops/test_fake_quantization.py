"""Rounding with gradients, against the papers' formulas and the numbers that ONNX Runtime gives."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from compress.ops.fake_quantization import (
    learned_step,
    round_blocks,
    round_rows,
    step_codes,
    step_gradient_scale,
    straight_through,
)

ZERO = torch.tensor(0.0)


def test_values_lie_on_the_grid_and_are_off_by_half_a_step_at_most() -> None:
    torch.manual_seed(0)
    values, scale = torch.randn(8, 6), torch.rand(8, 1) * 0.01 + 0.05
    rounded = learned_step(values, scale, ZERO, -127, 127)
    codes = rounded / scale
    assert (codes - codes.round()).abs().max() < 1e-4
    assert ((rounded - values).abs() <= 0.5001 * scale).all()
    assert torch.equal(step_codes(values, scale, ZERO, -127, 127), codes.round())
    assert learned_step(100 * values, scale, ZERO, -3, 3).abs().max() == pytest.approx(float(3 * scale.max()), abs=0.03)


def test_halves_go_to_the_even_code_as_onnx_rounds() -> None:
    values = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5])
    assert step_codes(values, torch.tensor(1.0), torch.tensor(3.0), 0, 255).tolist() == [3, 5, 5, 3, 1]


@pytest.mark.parametrize("per_row", [False, True])
def test_the_gradient_is_that_of_the_paper(per_row: bool) -> None:
    torch.manual_seed(1)
    layer = torch.nn.Linear(8, 6)
    values = layer.weight.detach().clone().requires_grad_()
    scale = torch.full((6, 1) if per_row else (), 0.06).requires_grad_()
    upstream = torch.randn(6, 8)
    (learned_step(values, scale, ZERO, -4, 3, 0.25) * upstream).sum().backward()
    ratio = (values / scale).detach()
    below, above = ratio <= -4, ratio >= 3
    assert below.any()
    assert above.any()
    by_value = torch.where(below, -4.0, torch.where(above, 3.0, ratio.round() - ratio))  # equation 3
    expected = 0.25 * upstream * by_value
    assert values.grad is not None
    assert scale.grad is not None
    assert torch.allclose(scale.grad, expected.sum(1, keepdim=True) if per_row else expected.sum(), atol=1e-6)
    assert torch.equal(values.grad, upstream * ~(below | above))  # equation 5


def test_beyond_the_range_the_gradients_are_those_of_finite_differences() -> None:
    """There the function is smooth: what is clipped moves with the ends of the range."""
    values = torch.tensor([-9.0, -7.0, 30.0, 41.0], dtype=torch.float64)
    upstream = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
    scale = torch.tensor(0.02, dtype=torch.float64, requires_grad=True)
    zero = torch.tensor(100.0, dtype=torch.float64, requires_grad=True)

    def loss(scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
        return (learned_step(values, scale, zero, 0, 255) * upstream).sum()

    loss(scale, zero).backward()
    with torch.no_grad():
        by_scale = (loss(scale + 1e-7, zero) - loss(scale - 1e-7, zero)) / 2e-7
        by_zero = (loss(scale, zero + 1e-4) - loss(scale, zero - 1e-4)) / 2e-4
    assert scale.grad is not None
    assert zero.grad is not None
    assert float(scale.grad) == pytest.approx(float(by_scale), rel=1e-4)
    assert float(zero.grad) == pytest.approx(float(by_zero), rel=1e-4)


def test_a_step_that_is_learned_ends_where_the_error_is_least() -> None:
    torch.manual_seed(2)
    values = torch.randn(4096)
    growth = torch.zeros((), requires_grad=True)
    start = values.abs().max() / 7
    optimizer = torch.optim.Adam([growth], lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        (learned_step(values, start * growth.exp(), ZERO, -7, 7) - values).square().mean().backward()
        optimizer.step()

    def error(scale: torch.Tensor) -> float:
        return float((learned_step(values, scale, ZERO, -7, 7) - values).square().mean())

    best = min(error(start * share) for share in torch.linspace(0.3, 1, 200))
    learned = error(start * growth.detach().exp())
    assert learned < 1.03 * best
    assert learned < 0.8 * error(start)


def test_the_gradient_scale_falls_with_the_values_that_share_a_step() -> None:
    assert step_gradient_scale(100, 4) == pytest.approx(1 / 20)


def test_straight_through_gives_one_and_learns_the_other() -> None:
    values, rounded = torch.randn(3, requires_grad=True), torch.randn(3)
    given = straight_through(values, rounded)
    (given * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert torch.equal(given, rounded)
    assert values.grad is not None
    assert values.grad.tolist() == [1, 2, 3]


@pytest.mark.int8
@pytest.mark.parametrize("shift", [-5.0, 0.0, 5.0])
def test_each_row_is_rounded_as_dynamic_quantize_linear_does(shift: float) -> None:
    values = np.random.default_rng(3).normal(shift, 1, (4, 5, 16)).astype(np.float32)
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"])
    back = helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph([node, back], "one", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = np.concatenate([session.run(None, {"x": row})[0] for row in values[:, None]])
    assert np.abs(round_rows(torch.from_numpy(values)).numpy() - expected).max() < 1e-6
    assert np.abs(expected - values).max() > 1e-3


def test_padding_widens_no_range_and_gradients_pass() -> None:
    torch.manual_seed(4)
    values = torch.randn(2, 4, 8)
    values[1, 2:] *= 1000
    values.requires_grad_()
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    rounded = round_rows(values, mask)
    alone = round_rows(values[1:, :2])
    assert torch.equal(rounded[1:, :2], alone)
    assert (round_rows(values)[1, :2] - alone[0]).abs().max() > 0.1
    rounded.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, torch.ones_like(values))


def test_blocks_of_activations_have_scales_of_their_own() -> None:
    torch.manual_seed(5)
    values = torch.randn(3, 20)
    values[:, :16] *= 100
    rounded = round_blocks(values, 16)
    steps = torch.cat(
        [part.abs().amax(1, keepdim=True).expand(part.shape) / 127 for part in (values[:, :16], values[:, 16:])], 1
    )
    assert ((rounded - values).abs() <= 0.5001 * steps).all()
    assert (rounded != values).any()
    assert torch.equal(round_blocks(torch.zeros(2, 20), 16), torch.zeros(2, 20))
