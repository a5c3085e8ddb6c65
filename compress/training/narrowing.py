"""Narrower hidden states: some of a model's channels, or the directions in which they vary most.

A LayerNorm does not commute with a rotation of the hidden states: its scale and bias are fitted to what the wide one
gave, channel by channel.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from compress.models.architectures import ARCHITECTURES
from compress.models.narrow import narrow_hidden
from compress.ops.projection import fit_norm, principal_directions

SAMPLED_TOKENS = 20_000
"""Of which the states are looked at: some fifty for each channel of a common encoder."""


def narrow_to_principal(model: Any, width: int, rows: Callable[[], Iterator[Mapping[str, torch.Tensor]]]) -> float:
    """Narrow a model to the directions in which its hidden states vary most, in place.

    Args:
        width: new hidden width.
        rows: gives the model's inputs, batch by batch, as often as it is called.

    Returns:
        Share of the hidden states' variance that the directions keep.
    """
    seen = _norm_states(model, rows)
    states = torch.cat([after for _, after in seen.values()])
    projection, kept = principal_directions(states, width)
    norms = {name: fit_norm(before @ projection, after @ projection) for name, (before, after) in seen.items()}
    narrow_hidden(model, projection, norms)
    return kept


def narrow_to_channels(
    model: Any, kept: Sequence[int], rows: Callable[[], Iterator[Mapping[str, torch.Tensor]]]
) -> None:
    """Narrow a model to some of its hidden channels, in place; norms are fitted to what they gave of those.

    Args:
        kept: channels of the hidden states, in ascending order.
        rows: see `narrow_to_principal`.
    """
    width = getattr(model.config, ARCHITECTURES[model.config.model_type].hidden_field)
    seen = _norm_states(model, rows)
    norms = {name: fit_norm(before[:, kept], after[:, kept]) for name, (before, after) in seen.items()}
    device = next(model.parameters()).device
    narrow_hidden(model, torch.eye(width, device=device)[:, list(kept)], norms)


def _norm_states(
    model: Any, rows: Callable[[], Iterator[Mapping[str, torch.Tensor]]]
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """What goes into and comes out of each LayerNorm, (tokens, width), padding left out; of a head's, (rows, width)."""
    width = getattr(model.config, ARCHITECTURES[model.config.model_type].hidden_field)
    kept: dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
    mask = torch.ones(0)

    def keep(name: str) -> Callable[..., None]:
        def hook(_: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            before, after = kept.setdefault(name, ([], []))
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
    return {name: (torch.cat(before), torch.cat(after)) for name, (before, after) in kept.items() if before}
