"""Mask tuning: rescales the heads and neurons that a cut has left, so that each layer gives nearly what it gave before.

It needs no labels and no gradients: Kwon et al. 2022 (arXiv:2204.09656), section 4.3. As there, outputs are compared
after the residual connection.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, Architecture
from compress.models.cutting import part
from compress.models.reshape import has_convolution, layers_of
from compress.ops.reconstruction import Reconstruction
from compress.training.scoring import ScoreRows

PARTS = ("attention_output", "down")
"""Names of the matrices that read the heads (the first) and the neurons (the second)."""


def tune_masks(model: Any, original: Any, head_size: int, rows: ScoreRows, what: str) -> dict[str, Any]:
    """Rescale the kept heads and neurons of `model` in place, layer by layer from the first.

    Each layer is fitted on the output of the layers before it, which are fitted already, so it makes up for their
    errors too. The factors are multiplied into the matrices that read the heads and neurons, so they cost nothing at
    run time. Costs about five forward passes over the rows, and memory for four times their hidden states.

    Args:
        model: the model after the cut.
        original: the model before the cut, with the same layers.

    Returns:
        Facts: the mean squared error of the parts' outputs before and after, as shares of the targets' mean square.

    Raises:
        InputError: something else runs between the layers.
    """
    if has_convolution(original):
        raise InputError(
            "masks are tuned layer by layer, and this model has a convolution beside its first layer",
            fix="leave out mask_tuning",
        )
    architecture = ARCHITECTURES[model.config.model_type]
    layers, original_layers = layers_of(model, architecture), layers_of(original, architecture)
    before, after = [], []
    with torch.no_grad():
        streams = [_Stream.begin(original, original_layers, batch) for batch in rows.batches(original, what)]
        for index, (layer, original_layer) in enumerate(zip(layers, original_layers, strict=True)):
            for stream in streams:
                stream.advance_original(index, original_layer, architecture)
            for name, group in zip(PARTS, (head_size, 1), strict=True):
                linear = part(layer, architecture, name)
                reconstruction = Reconstruction(linear.weight, group)
                for stream in streams:
                    _, parts = stream.through(index, layer, stream.hidden, architecture)
                    missing = stream.targets[name] - parts[name].residual[stream.real]
                    reconstruction.collect(
                        parts[name].hidden[stream.real], missing if linear.bias is None else missing - linear.bias
                    )
                scales = reconstruction.scales()
                before.append(reconstruction.error(torch.ones_like(scales)))
                after.append(reconstruction.error(scales))
                linear.weight.mul_(scales.repeat_interleave(group).to(linear.weight.dtype))
            for stream in streams:
                stream.hidden, _ = stream.through(index, layer, stream.hidden, architecture)
    return {
        "mask_error_before": round(sum(before) / len(before), 5),
        "mask_error_after": round(sum(after) / len(after), 5),
    }


@dataclass(frozen=True)
class _Part:
    """The input and output of a matrix of `PARTS` in one forward pass.

    Attributes:
        hidden: its input, (batch, tokens, channels)
        output: its output, (batch, tokens, width)
        residual: the hidden states that the output is added to, (batch, tokens, width)
    """

    hidden: torch.Tensor
    output: torch.Tensor
    residual: torch.Tensor


@dataclass
class _Stream:
    """One batch on its way through the layers of both models.

    Attributes:
        arguments: the arguments of each layer beside the hidden states; they are the same for both models.
        real: (batch, tokens), true where no padding is.
        hidden, original_hidden: (batch, tokens, width), the input of the next layer in the cut and the original model.
        targets: for each part by name, (tokens, width) after its residual connection in the original model.
    """

    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]]
    real: torch.Tensor
    hidden: torch.Tensor
    original_hidden: torch.Tensor
    targets: dict[str, torch.Tensor]

    @classmethod
    def begin(cls, original: Any, layers: torch.nn.ModuleList, batch: dict[str, torch.Tensor]) -> "_Stream":
        """Run the original model, and keep the arguments that its layers are called with."""
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        first: list[torch.Tensor] = []

        def record(_: torch.nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            first[:] = first or [inputs[0]]
            calls.append((inputs[1:], keywords))

        hooks = [layer.register_forward_pre_hook(record, with_kwargs=True) for layer in layers]
        original(**batch)
        for hook in hooks:
            hook.remove()
        return cls(calls, batch["attention_mask"].bool(), first[0], first[0], {})

    def through(
        self, index: int, layer: torch.nn.Module, hidden: torch.Tensor, architecture: Architecture
    ) -> tuple[torch.Tensor, Mapping[str, _Part]]:
        """The output of the layer at `index`, and the inputs and outputs of its parts."""
        positional, keywords = self.arguments[index]
        with ExitStack() as stack:
            heads, neurons, up = (
                stack.enter_context(_traced(part(layer, architecture, name))) for name in (*PARTS, "up")
            )
            output = layer(hidden, *positional, **keywords)
        # with its norms after the sums, a layer's neurons read what their output is added to
        added = up.hidden if architecture.attention_norm is None else hidden + heads.output
        residuals = (hidden, added)
        parts = {
            name: _Part(trace.hidden, trace.output, residual)
            for name, trace, residual in zip(PARTS, (heads, neurons), residuals, strict=True)
        }
        return output[0] if isinstance(output, tuple) else output, parts

    def advance_original(self, index: int, layer: torch.nn.Module, architecture: Architecture) -> None:
        """Run one layer of the original model, and keep the targets of that layer's parts."""
        self.original_hidden, parts = self.through(index, layer, self.original_hidden, architecture)
        self.targets = {name: (one.residual + one.output)[self.real] for name, one in parts.items()}


class _Trace:
    """The input and output of a Linear in its last forward pass.

    Attributes:
        hidden: its input, (batch, tokens, inputs)
        output: its output, (batch, tokens, outputs)
    """

    hidden: torch.Tensor
    output: torch.Tensor

    def __call__(self, _: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        (self.hidden,), self.output = inputs, output


@contextmanager
def _traced(linear: torch.nn.Linear) -> Iterator[_Trace]:
    """The trace of a Linear while the block runs."""
    trace = _Trace()
    hook = linear.register_forward_hook(trace)
    try:
        yield trace
    finally:
        hook.remove()
