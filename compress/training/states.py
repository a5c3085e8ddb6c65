"""Hidden states, queries, keys and values of a model, collected while it runs."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from compress.models.architectures import ARCHITECTURES
from compress.models.reshape import depth, layers_of

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
        runs = depth(model) // len(modules)  # more than 1 for a layer that runs again and again
        self.hidden: dict[int, torch.Tensor] = {}
        self.related: dict[str, torch.Tensor] = {}
        self._hooks = [
            modules[layer // runs].register_forward_hook(_store_hook(self.hidden, layer, run=layer % runs, runs=runs))
            for layer in layers
        ]
        if relation_layer is not None:
            for name in RELATED:
                matrix = modules[relation_layer // runs].get_submodule(getattr(architecture, name))
                stack, run = architecture.stack(name), relation_layer % runs
                keep = _store_hook(self.related, name, len(stack), stack.index(name), run=run, runs=runs)
                self._hooks.append(matrix.register_forward_hook(keep))

    def close(self) -> None:
        """Stop collecting."""
        for hook in self._hooks:
            hook.remove()


def _store_hook(
    place: dict[Any, torch.Tensor], key: Any, parts: int = 1, part: int = 0, *, run: int = 0, runs: int = 1
) -> Any:
    """A hook that keeps a module's output in `place`; one part of it, if its matrix holds several parts.

    Args:
        run: the run whose output is kept, of the `runs` of a module in one call of its model.
    """
    count = itertools.count()

    def keep(_: torch.nn.Module, __: Any, output: Any) -> None:
        if next(count) % runs != run:
            return
        states = output[0] if isinstance(output, tuple) else output
        place[key] = states.chunk(parts, dim=-1)[part]

    return keep
