"""The real shapes of a loaded model: read them, cut them, and build a class that has them from the start."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, SHAPES_KEY, Architecture, Shape, read_shape


def base_model(model: Any) -> Any:
    """The encoder inside a model with a head."""
    return getattr(model, model.base_model_prefix, model)


def layers_of(model: Any, architecture: Architecture) -> torch.nn.ModuleList:
    """The list of layers inside a model."""
    layers: torch.nn.ModuleList = base_model(model).get_submodule(architecture.layers)
    return layers


def model_shape(model: Any) -> Shape | None:
    """The sizes that a loaded model really has, or None for a family that is not in the table."""
    said = read_shape(model.config.to_dict())
    if said is None:
        return None
    architecture = ARCHITECTURES[said.model_type]
    layers = layers_of(model, architecture)
    widths = [_linear(layer, architecture.query).out_features for layer in layers]
    return Shape(
        model_type=said.model_type,
        layers=len(layers),
        hidden=said.hidden,
        head_size=said.head_size,
        heads=tuple(width // said.head_size for width in widths),
        neurons=tuple(_linear(layer, architecture.up).out_features for layer in layers),
    )


def set_heads(layer: torch.nn.Module, architecture: Architecture, heads: int) -> None:
    """Tell a layer's attention how many heads its matrices hold now."""
    attention: Any = layer.get_submodule(architecture.attention)
    setattr(attention, architecture.heads_attribute, heads)
    if hasattr(attention, "all_head_size"):
        attention.all_head_size = heads * attention.attention_head_size


def _linear(layer: torch.nn.Module, path: str) -> torch.nn.Linear:
    module: torch.nn.Linear = layer.get_submodule(path)  # type: ignore[assignment]
    return module


def keep_layers(model: Any, kept: Sequence[int]) -> None:
    """Remove all layers but `kept`, counted from 0, in place."""
    architecture = ARCHITECTURES[model.config.model_type]
    layers = layers_of(model, architecture)
    chosen = [layers[index] for index in kept]
    for _ in range(len(layers)):
        del layers[0]
    layers.extend(chosen)
    setattr(model.config, architecture.layers_field, len(chosen))


def reshaped_class(base: Any, config: Mapping[str, Any]) -> Any:
    """The class `base`, cut to the shapes in `config` as soon as it is built and before weights are read."""
    shape = read_shape(config)
    if shape is None:
        raise InputError(
            f"the architecture '{config.get('model_type')}' cannot have '{SHAPES_KEY}'", fix="remove that key"
        )
    architecture = ARCHITECTURES[shape.model_type]

    def build(self: Any, *args: Any, **kwargs: Any) -> None:
        base.__init__(self, *args, **kwargs)
        for layer, heads, neurons in zip(layers_of(self, architecture), shape.heads, shape.neurons, strict=True):
            cut_layer(layer, architecture, heads * shape.head_size, neurons)
            set_heads(layer, architecture, heads)

    return type(base.__name__, (base,), {"__init__": build, "__module__": base.__module__})


def cut_layer(layer: torch.nn.Module, architecture: Architecture, channels: int, neurons: int) -> None:
    """Give a layer's matrices new, uninitialised sizes: `channels` for all heads together, and `neurons`."""
    sizes = {
        architecture.query: (None, channels),
        architecture.key: (None, channels),
        architecture.value: (None, channels),
        architecture.attention_output: (channels, None),
        architecture.up: (None, neurons),
        architecture.down: (neurons, None),
    }
    for path, (inputs, outputs) in sizes.items():
        old: Any = layer.get_submodule(path)
        new = torch.nn.Linear(
            inputs or old.in_features,
            outputs or old.out_features,
            bias=old.bias is not None,
            device=old.weight.device,
            dtype=old.weight.dtype,
        )
        layer.set_submodule(path, new)
