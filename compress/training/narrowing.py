"""Narrower hidden states: some of a model's channels, or the directions in which the states vary most.

A LayerNorm does not commute with a rotation of the hidden states. So the scale and bias of each narrow LayerNorm are
fitted to the outputs of the wide one, channel by channel.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from compress.models.architectures import ARCHITECTURES
from compress.models.narrow import narrow_hidden
from compress.ops.projection import fit_norm, principal_directions

SAMPLED_TOKENS = 20_000
"""Number of tokens whose hidden states are collected: some fifty for each channel of a common encoder."""


def narrow_to_principal(model: Any, width: int, rows: Callable[[], Iterator[Mapping[str, torch.Tensor]]]) -> float:
    """Narrow a model to the directions in which its hidden states vary most, in place.

    Args:
        width: the new hidden width.
        rows: a function that gives the model's inputs, batch by batch; it may be called again.

    Returns:
        The share of the hidden states' variance that the directions keep.
    """
    norm_states = _norm_states(model, rows)
    states = torch.cat([after for _, after in norm_states.values()])
    projection, variance_share = principal_directions(states, width)
    norms = {name: fit_norm(before @ projection, after @ projection) for name, (before, after) in norm_states.items()}
    narrow_hidden(model, projection, norms)
    return variance_share


def narrow_to_channels(
    model: Any, channels: Sequence[int], rows: Callable[[], Iterator[Mapping[str, torch.Tensor]]]
) -> None:
    """Narrow a model to some of its hidden channels, in place.

    Args:
        channels: the channels of the hidden states that stay, in ascending order.
        rows: see `narrow_to_principal`.
    """
    width = getattr(model.config, ARCHITECTURES[model.config.model_type].hidden_field)
    norm_states = _norm_states(model, rows)
    norms = {name: fit_norm(before[:, channels], after[:, channels]) for name, (before, after) in norm_states.items()}
    device = next(model.parameters()).device
    narrow_hidden(model, torch.eye(width, device=device)[:, list(channels)], norms)


def _norm_states(
    model: Any, rows: Callable[[], Iterator[Mapping[str, torch.Tensor]]]
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The inputs and outputs of each LayerNorm, (tokens, width) without padding; in a head (rows, width)."""
    width = getattr(model.config, ARCHITECTURES[model.config.model_type].hidden_field)
    collected: dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
    mask = torch.ones(0)

    def keep(name: str) -> Callable[..., None]:
        def hook(_: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            before, after = collected.setdefault(name, ([], []))
            real = mask if inputs[0].dim() == 3 else slice(None)  # (batch, tokens, width), or a head's (batch, width)
            before.append(inputs[0][real].float())
            after.append(output[real].float())

        return hook

    norms = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.LayerNorm) and module.normalized_shape == (width,)
    }
    hooks = [module.register_forward_hook(keep(name)) for name, module in norms.items()]
    tokens = 0
    try:
        with torch.inference_mode():
            for batch in rows():
                mask = batch["attention_mask"].bool()
                model(**batch)
                tokens += int(mask.sum())
                if tokens >= SAMPLED_TOKENS:
                    break
    finally:
        for hook in hooks:
            hook.remove()
    return {name: (torch.cat(before), torch.cat(after)) for name, (before, after) in collected.items() if before}
