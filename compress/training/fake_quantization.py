"""Fake quantization: a network is trained with the rounding that it will have as a quantized graph."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from compress.models.low_rank import LowRankEmbedding
from compress.ops import blockwise, int8
from compress.ops.blockwise import Blocks
from compress.ops.fake_quantization import (
    BYTE,
    in_blocks,
    learned_step,
    round_blocks,
    round_rows,
    step_codes,
    step_gradient_scale,
    straight_through,
)
from compress.ops.int8 import Rounded

NAME = "fake_quantization"
"""Name of the module that holds the scales inside a network while it is trained: so the scales are optimised with the
network, and saved in its checkpoints."""

Round = Callable[[torch.Tensor], torch.Tensor]


class WeightGrid(torch.nn.Module):
    """The grid on which the weights of a matrix or a table are rounded; its scales are learned, its zero points stay.

    A scale is its first value times e to the power of a learned parameter: so it keeps its sign, and a step of the
    optimizer changes large and small scales by the same share.

    Args:
        scales: the first scales; 0 where all weights are 0.
        zeros: the zero points, the codes of 0; of the same shape.
        lowest, highest: the lowest and the highest code.
        sharing: number of weights that share a scale.
        block_size: number of a row's weights that share a scale; the scales are then (rows, blocks). None: the scales
            broadcast to the weights.
    """

    start: torch.Tensor
    zeros: torch.Tensor

    def __init__(
        self,
        scales: np.ndarray[Any, Any],
        zeros: np.ndarray[Any, Any],
        lowest: int,
        highest: int,
        sharing: int,
        block_size: int | None = None,
    ) -> None:
        super().__init__()
        start = torch.from_numpy(np.where(scales == 0, 1, scales).astype(np.float32))
        self.register_buffer("start", start)
        self.register_buffer("zeros", torch.from_numpy(zeros.astype(np.float32)))
        self.growth = torch.nn.Parameter(torch.zeros_like(start))
        self.ends, self.block_size = (lowest, highest), block_size
        self.gradient_scale = step_gradient_scale(sharing, (highest - lowest) // 2)

    @classmethod
    def of_columns(cls, weights: np.ndarray[Any, Any], largest: int) -> "WeightGrid":
        """A grid of 8 bits with a scale for each output of a matrix (outputs, inputs)."""
        scales = int8.round_columns(weights.T, largest).scales[:, None]
        return cls(scales, np.zeros_like(scales), -largest, largest, weights.shape[1])

    @classmethod
    def of_table(cls, weights: np.ndarray[Any, Any]) -> "WeightGrid":
        """A grid of 8 bits with one scale for a whole table."""
        scale = int8.round_table(weights).scales
        return cls(scale, np.zeros_like(scale), -int8.LARGEST, int8.LARGEST, weights.size)

    @classmethod
    def of_blocks(cls, weights: np.ndarray[Any, Any], bits: int, block_size: int, *, symmetric: bool) -> "WeightGrid":
        """A grid of `bits` bits with a scale for each block of a row."""
        scales, zeros = blockwise.grid(blockwise.in_blocks(weights, block_size), bits, symmetric=symmetric)
        return cls(scales, zeros, 0, 2**bits - 1, block_size, block_size)

    @property
    def scales(self) -> torch.Tensor:
        """The scales as they are now."""
        return self.start * torch.exp(self.growth)

    def forward(self, weights: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
        """The rounded weights.

        Args:
            weights: (..., inputs)
            rows: (...), the rows that these weights are of; None: all rows in their order.
        """
        if self.block_size is None:
            return learned_step(weights.float(), self.scales, self.zeros, *self.ends, self.gradient_scale)
        growth: torch.Tensor = self.growth
        start, zeros = self.start, self.zeros
        if rows is not None:
            start, growth, zeros = (torch.nn.functional.embedding(rows, part) for part in (start, growth, zeros))
        scales = (start * torch.exp(growth)).unsqueeze(-1)
        blocks = in_blocks(weights.float(), self.block_size)
        rounded = learned_step(blocks, scales, zeros.unsqueeze(-1), *self.ends, self.gradient_scale)
        return rounded.flatten(-2)[..., : weights.shape[-1]]

    @torch.no_grad()
    def rounded(self, weights: torch.Tensor) -> Rounded:
        """Codes and scales of weights (outputs, inputs) for an int8 graph: a matrix transposed, a table as it is."""
        codes = step_codes(weights, self.scales, self.zeros, *self.ends).numpy().astype(np.int8)
        scales = self.scales.numpy()
        return Rounded(codes.T, scales[:, 0]) if scales.ndim else Rounded(codes, scales)

    @torch.no_grad()
    def blocks(self, weights: torch.Tensor) -> Blocks:
        """Codes, scales and zero points of weights (outputs, inputs)."""
        assert self.block_size is not None
        scales, zeros = self.scales, self.zeros
        codes = step_codes(in_blocks(weights, self.block_size), scales[..., None], zeros[..., None], *self.ends)
        return Blocks(codes.numpy().astype(np.uint8), scales.numpy(), zeros.numpy().astype(np.uint8))


class ActivationRange(torch.nn.Module):
    """The learned range of activations, which are rounded to 256 levels of it.

    Learned are a factor of the step between two levels, and a shift of the range as a share of its width.

    Args:
        low, high: the first ends of the range.
    """

    start: torch.Tensor
    start_zero: torch.Tensor

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / BYTE or 1.0
        self.register_buffer("start", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("start_zero", torch.tensor(-low / scale).round())
        self.growth = torch.nn.Parameter(torch.zeros(()))
        self.shift = torch.nn.Parameter(torch.zeros(()))

    @property
    def scale(self) -> torch.Tensor:
        """The step between two levels as it is now."""
        return self.start * torch.exp(self.growth)

    @property
    def zero(self) -> torch.Tensor:
        """The zero point: the code of 0."""
        place = (self.start_zero + BYTE * self.shift).clamp(0, BYTE)
        return straight_through(place, place.detach().round())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The rounded values, in the shape of `values`: (batch, ...)."""
        gradient_scale = step_gradient_scale(values[0].numel(), BYTE)
        return learned_step(values.float(), self.scale, self.zero, 0, BYTE, gradient_scale)

    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value of the range as it is now."""
        scale, zero = float(self.scale), float(self.zero)
        return -zero * scale, (BYTE - zero) * scale


class FakeQuantization(torch.nn.Module):
    """Rounds the weights and inputs of a network's layers while it is attached to the network.

    A range that is not learned is computed in each call from each row alone, as in a deployed graph that gets one text
    at a time; padding does not count.

    Args:
        weights: the grids by the name of their layer, a Linear or an Embedding.
        inputs: the learned ranges of inputs, by the name of the Linear; layers that read the same tensor share a range.
        blocks: whether inputs are rounded to 8 bits in blocks, the same blocks as the weights that they multiply.
        dynamic: whether the range of inputs is computed in each call.
        learning_rate: peak rate of the scales and ranges.
    """

    def __init__(
        self,
        weights: Mapping[str, WeightGrid],
        inputs: Mapping[str, ActivationRange],
        *,
        blocks: bool,
        dynamic: bool,
        learning_rate: float,
    ) -> None:
        super().__init__()
        self.names = list(weights)
        self.grids = torch.nn.ModuleList(weights.values())
        self.ranges = torch.nn.ModuleList(dict.fromkeys(inputs.values()))  # each once, as checkpoints want it
        self.learning_rate = learning_rate
        self._inputs, self._blocks, self._dynamic = dict(inputs), blocks, dynamic
        self._mask: torch.Tensor | None = None
        self._hook: Any = None

    def attach(self, network: Any) -> None:
        """Become a part of the network, and round its weights and inputs from now on."""
        for name, grid in self.weights().items():
            layer = network.get_submodule(name)
            table = isinstance(layer, torch.nn.Embedding)
            layer.forward = self._gathering(layer, grid) if table else self._multiplying(layer, grid, name)
        self._hook = network.register_forward_pre_hook(self._keep_mask, with_kwargs=True)
        network.add_module(NAME, self)

    def detach(self, network: Any) -> None:
        """Leave the network; its weights stay as they were trained."""
        for name in self.names:
            del network.get_submodule(name).forward
        self._hook.remove()
        delattr(network, NAME)
        self._mask = None

    def facts(self) -> dict[str, Any]:
        """Facts for the manifest: how many scales were learned, and by what share they changed."""
        growth = [parameter.detach().flatten() for name, parameter in self.named_parameters() if "growth" in name]
        change = torch.expm1(torch.cat(growth)).abs()
        return {"learned": len(change), "mean_change": float(change.mean()), "largest_change": float(change.max())}

    def weights(self) -> dict[str, WeightGrid]:
        """The grids by the names of their layers."""
        grids: list[Any] = list(self.grids)
        return dict(zip(self.names, grids, strict=True))

    def input_range(self, name: str) -> ActivationRange:
        """The range of a Linear's inputs."""
        return self._inputs[name]

    def _keep_mask(self, _: Any, __: Any, arguments: Mapping[str, Any]) -> None:
        self._mask = arguments.get("attention_mask")

    def _multiplying(self, layer: torch.nn.Linear, grid: WeightGrid, name: str) -> Round:
        round_input = self._round_input(name, grid)

        def forward(values: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(round_input(values), grid(layer.weight), layer.bias)

        return forward

    def _gathering(self, layer: torch.nn.Embedding, grid: WeightGrid) -> Round:
        def forward(ids: torch.Tensor) -> torch.Tensor:
            rows = grid(torch.nn.Embedding.forward(layer, ids), ids)
            wide: torch.Tensor = layer.expand(rows) if isinstance(layer, LowRankEmbedding) else rows
            return wide

        return forward

    def _round_input(self, name: str, grid: WeightGrid) -> Round:
        if name in self._inputs:
            return self._inputs[name]
        if self._dynamic:
            return lambda values: round_rows(values.float(), self._mask_of(values))
        size = grid.block_size if self._blocks else None
        return (lambda values: values) if size is None else (lambda values: round_blocks(values.float(), size))

    def _mask_of(self, values: torch.Tensor) -> torch.Tensor | None:
        """The attention mask where values are of tokens (batch, tokens, width); None elsewhere."""
        mask = self._mask
        return mask if mask is not None and values.dim() == 3 and values.shape[:2] == mask.shape else None
