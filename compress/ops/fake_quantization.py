"""The rounding of a quantized graph inside a float computation, with gradients that pass through it."""

import math
from typing import Any

import torch

BYTE = 255
"""Largest code of an unsigned 8-bit activation."""
SIGNED = 127
"""Largest code of a signed 8-bit activation."""


def learned_step(
    values: torch.Tensor,
    scale: torch.Tensor,
    zero: torch.Tensor,
    lowest: int,
    highest: int,
    gradient_scale: float = 1.0,
) -> torch.Tensor:
    """Values on a grid whose step is learned: LSQ (Esser et al. 2020, arXiv:1902.08153), equations 1 to 3 and 5.

    With a learned zero point it is LSQ+ (Bhalgat et al. 2020, arXiv:2004.09576), with the offset counted in codes.
    Values within the grid get the gradient unchanged, others get none (Bengio et al. 2013, arXiv:1308.3432).

    Args:
        values: any shape, float32.
        scale: the step; not 0, of a shape that broadcasts to that of `values`.
        zero: the code of 0, a whole number, of such a shape too.
        lowest, highest: the smallest and the largest code.
        gradient_scale: factor on the gradients of scale and zero; see `step_gradient_scale`.

    Returns:
        (code - zero) * scale, of the shape of `values`.
    """
    rounded: torch.Tensor = _LearnedStep.apply(values, scale, zero, lowest, highest, gradient_scale)  # type: ignore[no-untyped-call]
    return rounded


def step_codes(
    values: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, lowest: int, highest: int
) -> torch.Tensor:
    """The code of each value, a whole number of the values' type; arguments as in `learned_step`."""
    return (torch.round(values / scale) + zero).clamp(lowest, highest)


def step_gradient_scale(sharing: int, largest: int) -> float:
    """The gradient's factor that keeps a step from learning faster than the values that share it: LSQ, section 2.2.

    Args:
        sharing: number of values that share the step.
        largest: the largest code.
    """
    return 1 / math.sqrt(sharing * largest)


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        scale: torch.Tensor,
        zero: torch.Tensor,
        lowest: int,
        highest: int,
        gradient_scale: float,
    ) -> torch.Tensor:
        ratio = values / scale
        ctx.save_for_backward(ratio, scale, zero)
        ctx.ends, ctx.gradient_scale = (lowest, highest), gradient_scale
        return ((torch.round(ratio) + zero).clamp(lowest, highest) - zero) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        ratio, scale, zero = ctx.saved_tensors
        lowest, highest = ctx.ends
        place = ratio + zero
        inside = (place > lowest) & (place < highest)
        of_scale = of_zero = None
        if ctx.needs_input_grad[1]:
            steps = (torch.round(ratio) + zero).clamp(lowest, highest) - zero - ratio * inside
            of_scale = ctx.gradient_scale * (gradient * steps).sum_to_size(scale.shape)
        if ctx.needs_input_grad[2]:
            of_zero = -ctx.gradient_scale * (gradient * ~inside * scale).sum_to_size(zero.shape)
        return gradient * inside, of_scale, of_zero, None, None, None


def straight_through(values: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """`rounded`, with its gradient passed to `values` unchanged (Bengio et al. 2013, arXiv:1308.3432)."""
    passed: torch.Tensor = _Through.apply(values, rounded)  # type: ignore[no-untyped-call]
    return passed


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, __: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
        return rounded.view_as(rounded)

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return gradients[0], None


def round_rows(values: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Activations rounded as by ONNX's DynamicQuantizeLinear, each row of a batch as if it were alone.

    Args:
        values: (batch, ...)
        mask: (batch, tokens), 0 at padding, for values of (batch, tokens, channels): padding does not widen a range.
            None: all values count.

    Returns:
        The rounded values in the same shape; the range of a row includes 0 and has 256 levels.
    """
    with torch.no_grad():
        counted = values if mask is None else values.masked_fill(mask.unsqueeze(-1) == 0, 0)
        inside = tuple(range(1, values.dim()))
        low = counted.amin(inside, keepdim=True).clamp(max=0)
        high = counted.amax(inside, keepdim=True).clamp(min=0)
        scale = (high - low) / BYTE
        scale = torch.where(scale == 0, 1, scale)
        zero = torch.round((-low / scale).clamp(0, BYTE))
        rounded = (step_codes(values, scale, zero, 0, BYTE) - zero) * scale
    return straight_through(values, rounded)


def round_blocks(values: torch.Tensor, block_size: int) -> torch.Tensor:
    """Activations rounded as by the int8 arithmetic of ONNX Runtime's MatMulNBits.

    Args:
        values: (..., channels)
        block_size: channels of a token that share a scale, with codes from -127 to 127.

    Returns:
        The rounded values in the same shape.
    """
    with torch.no_grad():
        blocks = in_blocks(values, block_size)
        scale = blocks.abs().amax(-1, keepdim=True) / SIGNED
        scale = torch.where(scale == 0, 1, scale)
        rounded = torch.round(blocks / scale) * scale
    return straight_through(values, rounded.flatten(-2)[..., : values.shape[-1]])


def in_blocks(values: torch.Tensor, block_size: int) -> torch.Tensor:
    """Values (..., channels) in blocks, (..., blocks, block size), padded with zeros."""
    padded = torch.nn.functional.pad(values, (0, -values.shape[-1] % block_size))
    return padded.reshape(*padded.shape[:-1], -1, block_size)
