"""Mask tuning: what is left of each layer is rescaled to give what the whole layer gave. No labels, no gradients."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from compress.models.architectures import ARCHITECTURES
from compress.models.cutting import part
from compress.models.reshape import layers_of
from compress.ops.reconstruction import Reconstruction
from compress.training.scoring import ScoreRows


def tune_masks(model: Any, whole: Any, head_size: int, rows: ScoreRows, what: str) -> dict[str, Any]:
    """Rescale the kept heads and neurons of `model` in place, layer by layer from the first.

    Each layer is fitted on what the layers before it, fitted already, give. The factors go into the matrices that
    read the heads and neurons, so nothing is left to do at run time. Costs a forward pass of both models over the
    rows for the heads of each layer, and one for its neurons.

    Args:
        model: after the cut.
        whole: as before the cut, with the same layers.

    Returns:
        Facts: mean squared error of the layers' parts before and after, as shares of what they give.
    """
    architecture = ARCHITECTURES[model.config.model_type]
    before, after = [], []
    pairs = list(zip(layers_of(model, architecture), layers_of(whole, architecture), strict=True))
    for index, (layer, whole_layer) in enumerate(pairs):
        for name, group in (("attention_output", head_size), ("down", 1)):
            linear, whole_linear = part(layer, architecture, name), part(whole_layer, architecture, name)
            found = Reconstruction(linear.weight, group)
            with torch.no_grad(), _seen(linear) as kept, _seen(whole_linear) as given:
                for batch in rows.batches(model, f"{what}: {name.replace('_', ' ')} of layer {index + 1}"):
                    model(**batch)
                    whole(**batch)
                    real = batch["attention_mask"].bool()
                    target = given.output[real]
                    found.collect(kept.hidden[real], target if linear.bias is None else target - linear.bias)
                scales = found.scales()
                before.append(found.error(torch.ones_like(scales)))
                after.append(found.error(scales))
                linear.weight.mul_(scales.repeat_interleave(group).to(linear.weight.dtype))
    return {
        "mask_error_before": round(sum(before) / len(before), 5),
        "mask_error_after": round(sum(after) / len(after), 5),
    }


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
