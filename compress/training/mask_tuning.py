"""Mask tuning: what is left of each layer is rescaled to give what the whole layer gave. No labels, no gradients."""

from collections.abc import Iterator
from contextlib import contextmanager
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

    Each layer is fitted on what the layers before it, fitted already, give. The factors go into the matrices that
    read the heads and neurons, so nothing is left to do at run time. Costs about five forward passes over the rows,
    and memory for four times their hidden states.

    Args:
        model: after the cut.
        whole: as before the cut, with the same layers.

    Returns:
        Facts: mean squared error of the layers' parts before and after, as shares of what they give.
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
                found = _fit(layer, linear, group, [(stream, stream.targets[name]) for stream in streams], index)
                scales = found.scales()
                before.append(found.error(torch.ones_like(scales)))
                after.append(found.error(scales))
                linear.weight.mul_(scales.repeat_interleave(group).to(linear.weight.dtype))
            for stream in streams:
                stream.hidden = stream.through(index, layer, stream.hidden)
    return {
        "mask_error_before": round(sum(before) / len(before), 5),
        "mask_error_after": round(sum(after) / len(after), 5),
    }


def _fit(
    layer: torch.nn.Module,
    linear: torch.nn.Linear,
    group: int,
    wanted: "list[tuple[_Stream, torch.Tensor]]",
    index: int,
) -> Reconstruction:
    """Factors for what `linear` reads, so that it gives what is wanted: (tokens, outputs) of each stream."""
    found = Reconstruction(linear.weight, group)
    for stream, target in wanted:
        with _seen(linear) as seen:
            stream.through(index, layer, stream.hidden)
        found.collect(seen.hidden[stream.real], target if linear.bias is None else target - linear.bias)
    return found


@dataclass
class _Stream:
    """One batch on its way through the layers of both models.

    Attributes:
        arguments: of each layer beside the hidden states; they are the same for both models.
        real: (batch, tokens) where no padding is.
        hidden, whole_hidden: (batch, tokens, width) that the next layer reads.
        targets: by the name of a part: (tokens, outputs) that it gives in the whole model.
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

    def through(self, index: int, layer: torch.nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        """What the layer at `index` makes of the hidden states."""
        more, named = self.arguments[index]
        output = layer(hidden, *more, **named)
        result: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return result

    def see_whole(self, index: int, layer: torch.nn.Module, architecture: Architecture) -> None:
        """Take the whole model one layer on, and keep what that layer's parts give."""
        with _seen(part(layer, architecture, PARTS[0])) as heads, _seen(part(layer, architecture, PARTS[1])) as neurons:
            self.whole_hidden = self.through(index, layer, self.whole_hidden)
        self.targets = dict(zip(PARTS, (heads.output[self.real], neurons.output[self.real]), strict=True))


class _Seen:
    """What a Linear read and gave in the last forward pass.

    Attributes:
        hidden: (batch, tokens, channels)
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
