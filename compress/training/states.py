"""Hidden states, queries, keys and values of a model, collected while it runs."""

from collections.abc import Sequence
from typing import Any

import torch

from compress.models.architectures import ARCHITECTURES
from compress.models.reshape import layers_of

RELATED = ("query", "key", "value")
"""The matrices whose outputs have relations."""


class States:
    """The hidden states, queries, keys and values of a model's last call.

    Args:
        layers: the layers whose hidden states are collected, counted from 0.
        relation_layer: the layer whose queries, keys and values are collected; None for none.

    Attributes:
        hidden: layer -> its output, (batch, tokens, width).
        related: `query`, `key` and `value` -> (batch, tokens, width of all heads).
    """

    def __init__(self, model: Any, layers: Sequence[int], relation_layer: int | None) -> None:
        architecture = ARCHITECTURES[model.config.model_type]
        modules = layers_of(model, architecture)
        self.hidden: dict[int, torch.Tensor] = {}
        self.related: dict[str, torch.Tensor] = {}
        self._hooks = [modules[layer].register_forward_hook(_store_hook(self.hidden, layer)) for layer in layers]
        if relation_layer is not None:
            for name in RELATED:
                matrix = modules[relation_layer].get_submodule(getattr(architecture, name))
                stack = architecture.stack(name)
                keep = _store_hook(self.related, name, len(stack), stack.index(name))
                self._hooks.append(matrix.register_forward_hook(keep))

    def close(self) -> None:
        """Stop collecting."""
        for hook in self._hooks:
            hook.remove()


def _store_hook(place: dict[Any, torch.Tensor], key: Any, parts: int = 1, part: int = 0) -> Any:
    """A hook that keeps a module's output in `place`; one part of it, if its matrix holds several parts."""

    def keep(_: torch.nn.Module, __: Any, output: Any) -> None:
        states = output[0] if isinstance(output, tuple) else output
        place[key] = states.chunk(parts, dim=-1)[part]

    return keep
