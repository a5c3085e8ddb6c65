"""Heads and neurons cut out of a loaded model, and a model run without some of its layers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch_pruning as tp

from compress.errors import CompressError
from compress.models.architectures import ARCHITECTURES, Architecture, Shape
from compress.models.reshape import columns_of, cut_stacked, depth, keep_layers, layers_of, set_heads, use_columns

Removed = tuple[Sequence[int], Sequence[int]]
"""(heads, neurons) of one layer, by their indices."""


def part(layer: torch.nn.Module, architecture: Architecture, name: str) -> torch.nn.Linear:
    """The matrix that holds a part of a layer, by its field in `Architecture`, for example `down`."""
    module: torch.nn.Linear = layer.get_submodule(getattr(architecture, name))  # type: ignore[assignment]
    return module


def cut(model: Any, shape: Shape, removed: Sequence[Removed]) -> None:
    """Remove heads and neurons of each layer, in place.

    Args:
        shape: the model's sizes as they are.
        removed: the heads and neurons to remove from each layer; the same ones, if all layers are one.

    Raises:
        CompressError: the dependency graph ties a matrix to one of another layer.
    """
    architecture = ARCHITECTURES[shape.model_type]
    example = torch.ones(1, 8, dtype=torch.long)
    graph = None
    if architecture.is_traced:
        graph = tp.DependencyGraph().build_dependency(
            model,
            example_inputs={"input_ids": example, "attention_mask": example},
            output_transform=lambda output: output.logits,
        )
    size = shape.head_size
    layers = layers_of(model, architecture)
    if architecture.repeats:
        assert all(list(map(list, parts)) == list(map(list, removed[0])) for parts in removed)
        removed = removed[:1]
    for layer, count, (heads, neurons) in zip(layers, shape.heads[: len(layers)], removed, strict=True):
        channels = [head * size + channel for head in heads for channel in range(size)]
        _prune(graph, layer, architecture, ("query", "key", "value", "attention_output"), channels)
        _prune(graph, layer, architecture, (*architecture.neuron_parts, "down"), list(neurons))
        set_heads(layer, architecture, count - len(heads))
        if architecture.position_biases is not None and heads:
            columns = columns_of(layer, architecture) or range(count)
            use_columns(layer, architecture, [column for head, column in enumerate(columns) if head not in heads])


def _prune(graph: Any, layer: Any, architecture: Architecture, parts: tuple[str, ...], removed: list[int]) -> None:
    """Remove output channels of the first of `parts`, and their counterparts, which must be exactly the other parts."""
    if not removed:
        return
    if graph is None:
        cut_stacked(layer, architecture, parts, removed)
        return
    modules = [part(layer, architecture, name) for name in parts]
    group = graph.get_pruning_group(modules[0], tp.prune_linear_out_channels, idxs=removed)
    touched = {
        id(dependency.target.module): indices
        for dependency, indices in group
        if any(True for _ in dependency.target.module.parameters())
    }
    expected = {id(module): removed for module in modules}
    if touched != expected:
        raise CompressError(
            f"the model ties '{getattr(architecture, parts[0])}' to other matrices than its layer's own",
            fix="this variant of the architecture cannot be pruned",
        )
    group.prune()


@contextmanager
def skipping(model: Any, skipped: Sequence[int]) -> Iterator[None]:
    """A context in which the model runs without the layers `skipped`, counted from 0: they return their input."""
    architecture = ARCHITECTURES[model.config.model_type]
    if architecture.repeats:
        count = depth(model)
        keep_layers(model, range(count - len(skipped)))
        try:
            yield
        finally:
            keep_layers(model, range(count))
        return
    layers = layers_of(model, architecture)
    hooks = [layers[index].register_forward_hook(_pass_through) for index in skipped]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _pass_through(_: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    return (inputs[0], *output[1:]) if isinstance(output, tuple) else inputs[0]
