"""Mask tuning: what is left of each layer is rescaled, so that the activations are what they were. No labels, no
gradients: Kwon et al. 2022 (arXiv:2204.09656), section 4.3, who like here compare after the residual connection."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from compress.models.architectures import ARCHITECTURES, Architecture
from compress.models.cutting import part
from compress.models.reshape import layers_of
from compress.ops.reconstruction import Reconstruction
from compress.training.scoring import ScoreRows

PARTS = ("attention_output", "down")
"""The matrices that read the heads, and the neurons."""


def tune_masks(model: Any, whole: Any, head_size: int, rows: ScoreRows, what: str) -> dict[str, Any]:
    """Rescale the kept heads and neurons of `model` in place, layer by layer from the first.

    Each layer is fitted on what the layers before it, fitted already, give, and so makes up for their errors too. The
    factors go into the matrices that read the heads and neurons, so nothing is left to do at run time. Costs about five
    forward passes over the rows, and memory for four times their hidden states.

    Args:
        model: after the cut.
        whole: as before the cut, with the same layers.

    Returns:
        Facts: mean squared error of what the layers' parts are to add before and after, as shares of its square.
    """
    architecture = ARCHITECTURES[model.config.model_type]
    layers, whole_layers = layers_of(model, architecture), layers_of(whole, architecture)
    before, after = [], []
    with torch.no_grad():
        streams = [_Stream.begin(whole, whole_layers, batch) for batch in rows.batches(whole, what)]
        for index, (layer, whole_layer) in enumerate(zip(layers, whole_layers, strict=True)):
            for stream in streams:
                stream.see_whole(index, whole_layer, architecture)
            for name, group in zip(PARTS, (head_size, 1), strict=True):
                linear = part(layer, architecture, name)
                found = Reconstruction(linear.weight, group)
                for stream in streams:
                    _, seen = stream.through(index, layer, stream.hidden, architecture)
                    missing = stream.targets[name] - seen[name].residual[stream.real]
                    found.collect(
                        seen[name].hidden[stream.real], missing if linear.bias is None else missing - linear.bias
                    )
                scales = found.scales()
                before.append(found.error(torch.ones_like(scales)))
                after.append(found.error(scales))
                linear.weight.mul_(scales.repeat_interleave(group).to(linear.weight.dtype))
            for stream in streams:
                stream.hidden, _ = stream.through(index, layer, stream.hidden, architecture)
    return {
        "mask_error_before": round(sum(before) / len(before), 5),
        "mask_error_after": round(sum(after) / len(after), 5),
    }


@dataclass(frozen=True)
class _Part:
    """What a matrix of `PARTS` read and gave, and what that was added to.

    Attributes:
        hidden: (batch, tokens, channels)
        output, residual: (batch, tokens, width)
    """

    hidden: torch.Tensor
    output: torch.Tensor
    residual: torch.Tensor


@dataclass
class _Stream:
    """One batch on its way through the layers of both models.

    Attributes:
        arguments: of each layer beside the hidden states; they are the same for both models.
        real: (batch, tokens) where no padding is.
        hidden, whole_hidden: (batch, tokens, width) that the next layer reads.
        targets: by the name of a part: (tokens, width) after it and its residual connection in the whole model.
    """

    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]]
    real: torch.Tensor
    hidden: torch.Tensor
    whole_hidden: torch.Tensor
    targets: dict[str, torch.Tensor]

    @classmethod
    def begin(cls, whole: Any, layers: torch.nn.ModuleList, batch: dict[str, torch.Tensor]) -> "_Stream":
        """Run the whole model, to learn what its layers are called with."""
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        first: list[torch.Tensor] = []

        def see(_: torch.nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            first[:] = first or [inputs[0]]
            calls.append((inputs[1:], named))

        hooks = [layer.register_forward_pre_hook(see, with_kwargs=True) for layer in layers]
        whole(**batch)
        for hook in hooks:
            hook.remove()
        return cls(calls, batch["attention_mask"].bool(), first[0], first[0], {})

    def through(
        self, index: int, layer: torch.nn.Module, hidden: torch.Tensor, architecture: Architecture
    ) -> tuple[torch.Tensor, Mapping[str, _Part]]:
        """What the layer at `index` makes of the hidden states, and its parts."""
        more, named = self.arguments[index]
        with ExitStack() as stack:
            heads, neurons, up = (
                stack.enter_context(_seen(part(layer, architecture, name))) for name in (*PARTS, "up")
            )
            output = layer(hidden, *more, **named)
        # with its norms after the sums, a layer's neurons read what their output is added to
        added = up.hidden if architecture.attention_norm is None else hidden + heads.output
        residuals = (hidden, added)
        parts = {
            name: _Part(seen.hidden, seen.output, residual)
            for name, seen, residual in zip(PARTS, (heads, neurons), residuals, strict=True)
        }
        return output[0] if isinstance(output, tuple) else output, parts

    def see_whole(self, index: int, layer: torch.nn.Module, architecture: Architecture) -> None:
        """Take the whole model one layer on, and keep what stands after each of that layer's parts."""
        self.whole_hidden, seen = self.through(index, layer, self.whole_hidden, architecture)
        self.targets = {name: (one.residual + one.output)[self.real] for name, one in seen.items()}


class _Seen:
    """What a Linear read and gave in the last forward pass.

    Attributes:
        hidden: (batch, tokens, inputs)
        output: (batch, tokens, outputs)
    """

    hidden: torch.Tensor
    output: torch.Tensor

    def __call__(self, _: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        (self.hidden,), self.output = inputs, output


@contextmanager
def _seen(linear: torch.nn.Linear) -> Iterator[_Seen]:
    seen = _Seen()
    hook = linear.register_forward_hook(seen)
    try:
        yield seen
    finally:
        hook.remove()
