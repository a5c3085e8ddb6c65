"""Collects what goes on inside a model while it runs."""

from collections.abc import Sequence
from typing import Any

import torch

from compress.models.architectures import ARCHITECTURES
from compress.models.reshape import layers_of

RELATED = ("query", "key", "value")


class States:
    """Hidden states, and queries, keys and values, of a model's last call.

    Args:
        layers: whose hidden states are collected, counted from 0.
        relation_layer: whose queries, keys and values are; None for none.

    Attributes:
        hidden: layer -> (batch, tokens, width), what the layer gives.
        related: `query`, `key` and `value` -> (batch, tokens, width of all heads).
    """

    def __init__(self, model: Any, layers: Sequence[int], relation_layer: int | None) -> None:
        architecture = ARCHITECTURES[model.config.model_type]
        modules = layers_of(model, architecture)
        self.hidden: dict[int, torch.Tensor] = {}
        self.related: dict[str, torch.Tensor] = {}
        self._hooks = [modules[layer].register_forward_hook(_into(self.hidden, layer)) for layer in layers]
        if relation_layer is not None:
            for name in RELATED:
                part = modules[relation_layer].get_submodule(getattr(architecture, name))
                self._hooks.append(part.register_forward_hook(_into(self.related, name)))

    def close(self) -> None:
        """Collect no more."""
        for hook in self._hooks:
            hook.remove()


def _into(place: dict[Any, torch.Tensor], key: Any) -> Any:
    def keep(_: torch.nn.Module, __: Any, output: Any) -> None:
        place[key] = output[0] if isinstance(output, tuple) else output

    return keep
