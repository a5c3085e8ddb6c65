"""The real shapes of a loaded model: read them, cut them, and build a class that has them from the start."""

import copy
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
    widths = [weight_of(layer, architecture, "query").shape[0] for layer in layers]
    return Shape(
        model_type=said.model_type,
        layers=len(layers),
        hidden=said.hidden,
        head_size=said.head_size,
        heads=tuple(width // said.head_size for width in widths),
        neurons=tuple(weight_of(layer, architecture, "up").shape[0] for layer in layers),
        attention_norms=tuple(
            not isinstance(layer.get_submodule(name), torch.nn.Identity)
            for layer in layers
            if (name := architecture.attention_norm)
        ),
    )


def set_heads(layer: torch.nn.Module, architecture: Architecture, heads: int) -> None:
    """Tell a layer's attention how many heads its matrices hold now."""
    attention: Any = layer.get_submodule(architecture.attention)
    if architecture.heads_attribute is not None:
        setattr(attention, architecture.heads_attribute, heads)
    if hasattr(attention, "all_head_size"):
        attention.all_head_size = heads * attention.attention_head_size


def weight_of(layer: torch.nn.Module, architecture: Architecture, part: str) -> torch.Tensor:
    """The weight of one part, (outputs, inputs), by its field in `Architecture`: its rows alone, of a shared matrix."""
    stack = architecture.stack(part)
    weight: torch.Tensor = layer.get_submodule(getattr(architecture, part)).weight  # type: ignore[assignment]
    return weight.chunk(len(stack))[stack.index(part)]


def cut_stacked(
    layer: torch.nn.Module, architecture: Architecture, parts: Sequence[str], removed: Sequence[int]
) -> None:
    """Remove outputs of all of `parts` but the last, and the inputs of the last, where parts share matrices.

    Args:
        parts: by their fields in `Architecture`.
        removed: channels, as each part alone counts them.
    """
    import torch_pruning as tp

    *reading, writing = parts
    count = weight_of(layer, architecture, reading[0]).shape[0]
    for path, part in {getattr(architecture, part): part for part in reading}.items():
        rows = [place * count + index for place in range(len(architecture.stack(part))) for index in removed]
        tp.prune_linear_out_channels(layer.get_submodule(path), rows)
    tp.prune_linear_in_channels(layer.get_submodule(getattr(architecture, writing)), list(removed))


def keep_layers(model: Any, kept: Sequence[int]) -> None:
    """Remove all layers but `kept`, counted from 0, in place."""
    architecture = ARCHITECTURES[model.config.model_type]
    layers = layers_of(model, architecture)
    chosen = [layers[index] for index in kept]
    for _ in range(len(layers)):
        del layers[0]
    layers.extend(chosen)
    setattr(model.config, architecture.layers_field, len(chosen))
    if architecture.kinds_field is not None:
        kinds = getattr(model.config, architecture.kinds_field)
        setattr(model.config, architecture.kinds_field, [kinds[index] for index in kept])


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
        layers = layers_of(self, architecture)
        for layer, heads, neurons in zip(layers, shape.heads, shape.neurons, strict=True):
            cut_layer(layer, architecture, heads * shape.head_size, neurons)
            set_heads(layer, architecture, heads)
        _set_norms(layers, architecture, shape.attention_norms)

    return type(base.__name__, (base,), {"__init__": build, "__module__": base.__module__})


def _set_norms(layers: torch.nn.ModuleList, architecture: Architecture, norms: Sequence[bool]) -> None:
    """Give each layer the norm before attention, uninitialised and like its other norms, or take it away."""
    if architecture.attention_norm is None:
        return
    for layer, has_norm in zip(layers, norms, strict=True):
        other = next(module for module in layer.modules() if isinstance(module, torch.nn.LayerNorm))
        layer.set_submodule(architecture.attention_norm, copy.deepcopy(other) if has_norm else torch.nn.Identity())


def cut_layer(layer: torch.nn.Module, architecture: Architecture, channels: int, neurons: int) -> None:
    """Give a layer's matrices new, uninitialised sizes: `channels` for all heads together, and `neurons`."""
    sizes = {
        **dict.fromkeys(("query", "key", "value"), (None, channels)),
        "attention_output": (channels, None),
        **dict.fromkeys(architecture.neuron_parts, (None, neurons)),
        "down": (neurons, None),
    }
    for part, (inputs, outputs) in sizes.items():
        old: Any = layer.get_submodule(getattr(architecture, part))
        new = torch.nn.Linear(
            inputs or old.in_features,
            outputs * len(architecture.stack(part)) if outputs else old.out_features,
            bias=old.bias is not None,
            device=old.weight.device,
            dtype=old.weight.dtype,
        )
        layer.set_submodule(getattr(architecture, part), new)
