"""The real shapes of a loaded model: reading them, cutting them, and classes built with them."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, SHAPES_KEY, Architecture, Shape, read_shape
from compress.models.low_rank import LowRankEmbedding, LowRankLinear


def base_model(model: Any) -> Any:
    """The encoder inside a model with a head."""
    return getattr(model, model.base_model_prefix, model)


def layers_of(model: Any, architecture: Architecture) -> torch.nn.ModuleList:
    """The list of layers inside a model; a single one, if it runs again and again."""
    layers: torch.nn.ModuleList = base_model(model).get_submodule(architecture.layers)
    return layers


def has_convolution(model: Any) -> bool:
    """Whether a model has a convolution beside its first layer, as some DeBERTas do."""
    return any(isinstance(module, torch.nn.Conv1d) for module in base_model(model).modules())


def depth(model: Any) -> int:
    """The number of layers that a model runs."""
    architecture = ARCHITECTURES[model.config.model_type]
    if architecture.repeats:
        return int(getattr(model.config, architecture.layers_field))
    return len(layers_of(model, architecture))


def model_shape(model: Any) -> Shape | None:
    """The sizes that a loaded model really has, or None for a family that is not in the table."""
    config_shape = read_shape(model.config.to_dict())
    if config_shape is None:
        return None
    architecture = ARCHITECTURES[config_shape.model_type]
    layers = [*layers_of(model, architecture)] * (depth(model) if architecture.repeats else 1)
    widths = [weight_of(layer, architecture, "query").shape[0] for layer in layers]
    columns = [columns_of(layer, architecture) for layer in layers]
    table = base_model(model).get_input_embeddings()
    up = layers[0].get_submodule(architecture.up)
    return Shape(
        model_type=config_shape.model_type,
        layers=len(layers),
        hidden=config_shape.hidden,
        head_size=config_shape.head_size,
        heads=tuple(width // config_shape.head_size for width in widths),
        neurons=tuple(weight_of(layer, architecture, "up").shape[0] for layer in layers),
        attention_norms=tuple(
            not isinstance(layer.get_submodule(name), torch.nn.Identity)
            for layer in layers
            if (name := architecture.attention_norm)
        ),
        embedding_rank=table.embedding_dim if isinstance(table, LowRankEmbedding) else None,
        ffn_rank=up.reduce.out_features if isinstance(up, LowRankLinear) else None,
        bias_columns=position_biases(model, architecture).embedding_dim if any(columns) else None,
        bias_heads=tuple(tuple(heads) for heads in columns if heads),
    )


def set_heads(layer: torch.nn.Module, architecture: Architecture, heads: int) -> None:
    """Set the number of heads of a layer's attention to what its matrices hold now."""
    attention: Any = layer.get_submodule(architecture.attention)
    if architecture.heads_attribute is not None:
        setattr(attention, architecture.heads_attribute, heads)
    if hasattr(attention, "all_head_size"):
        attention.all_head_size = heads * attention.attention_head_size


def position_biases(model: Any, architecture: Architecture) -> torch.nn.Embedding:
    """The table with a column of biases for each head, in a family that has one."""
    table: torch.nn.Embedding = base_model(model).get_submodule(architecture.position_biases)
    return table


def columns_of(layer: torch.nn.Module, architecture: Architecture) -> list[int]:
    """The columns of the table of position biases that a layer's heads use; empty if each head uses its own."""
    return list(getattr(layer.get_submodule(architecture.attention), "bias_heads", ()))


def use_columns(layer: torch.nn.Module, architecture: Architecture, columns: Sequence[int]) -> None:
    """Set the columns of the table of position biases that a layer's heads use: the table stays the layers' own."""
    attention: Any = layer.get_submodule(architecture.attention)
    if not hasattr(attention, "bias_heads"):
        attention.register_forward_pre_hook(_with_own_biases)
    attention.bias_heads = list(columns)


def _with_own_biases(attention: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of an attention with the biases of its own heads alone, (batch, heads, tokens, tokens)."""
    hidden, mask, biases, *others = inputs
    return hidden, mask, biases[:, attention.bias_heads], *others


def position_parts(layer: torch.nn.Module, architecture: Architecture) -> list[str]:
    """The paths of those matrices of `Architecture.positions` that a layer has."""
    attention = layer.get_submodule(architecture.attention)
    return [path for path in architecture.positions if hasattr(attention, path.rpartition(".")[2])]


def weight_of(layer: torch.nn.Module, architecture: Architecture, part: str) -> torch.Tensor:
    """The weight of a part, (outputs, inputs), by its field in `Architecture`; only its rows of a shared matrix."""
    stack = architecture.stack(part)
    weight: torch.Tensor = layer.get_submodule(getattr(architecture, part)).weight  # type: ignore[assignment]
    return weight.chunk(len(stack))[stack.index(part)]


def cut_stacked(
    layer: torch.nn.Module, architecture: Architecture, parts: Sequence[str], removed: Sequence[int]
) -> None:
    """Remove channels in a layer whose parts share matrices: outputs of all `parts` but the last, inputs of the last.

    Args:
        parts: the parts' fields in `Architecture`.
        removed: channels, counted within each part.
    """
    import torch_pruning as tp

    *reading, writing = parts
    count = weight_of(layer, architecture, reading[0]).shape[0]
    for path, part in {getattr(architecture, part): part for part in reading}.items():
        rows = [place * count + index for place in range(len(architecture.stack(part))) for index in removed]
        tp.prune_linear_out_channels(layer.get_submodule(path), rows)
    if "query" in reading:
        for path in position_parts(layer, architecture):
            tp.prune_linear_out_channels(layer.get_submodule(path), list(removed))
    tp.prune_linear_in_channels(layer.get_submodule(getattr(architecture, writing)), list(removed))


def keep_layers(model: Any, indices: Sequence[int]) -> None:
    """Remove all layers except those at `indices`, counted from 0, in place."""
    architecture = ARCHITECTURES[model.config.model_type]
    if architecture.repeats:
        setattr(model.config, architecture.layers_field, len(indices))
        return
    layers = layers_of(model, architecture)
    remaining = [layers[index] for index in indices]
    for _ in range(len(layers)):
        del layers[0]
    layers.extend(remaining)
    setattr(model.config, architecture.layers_field, len(remaining))
    if architecture.kinds_field is not None:
        kinds = getattr(model.config, architecture.kinds_field)
        setattr(model.config, architecture.kinds_field, [kinds[index] for index in indices])


def reshaped_class(base: Any, config: Mapping[str, Any]) -> Any:
    """A class like `base` whose models have the shapes in `config` before their weights are read."""
    shape = read_shape(config)
    if shape is None:
        raise InputError(
            f"the architecture '{config.get('model_type')}' cannot have '{SHAPES_KEY}'", fix="remove that key"
        )
    architecture = ARCHITECTURES[shape.model_type]

    def build(self: Any, *args: Any, **kwargs: Any) -> None:
        base.__init__(self, *args, **kwargs)
        layers = layers_of(self, architecture)
        sizes = zip(shape.heads[: len(layers)], shape.neurons[: len(layers)], strict=True)
        for layer, (heads, neurons) in zip(layers, sizes, strict=True):
            cut_layer(layer, architecture, heads * shape.head_size, neurons)
            set_heads(layer, architecture, heads)
        _set_norms(layers, architecture, shape.attention_norms)
        if shape.bias_columns is not None:
            position_table = position_biases(self, architecture)
            position_table.weight = torch.nn.Parameter(
                position_table.weight.new_zeros(position_table.num_embeddings, shape.bias_columns)
            )
            position_table.embedding_dim = shape.bias_columns
            for layer, columns in zip(layers, shape.bias_heads, strict=True):
                use_columns(layer, architecture, columns)
        if shape.ffn_rank is not None:
            for layer, path in feed_forward(self, architecture):
                whole: Any = layer.get_submodule(path)
                layer.set_submodule(path, LowRankLinear(whole, shape.ffn_rank))
        if shape.embedding_rank is not None:
            encoder = base_model(self)
            encoder.set_input_embeddings(LowRankEmbedding(encoder.get_input_embeddings(), shape.embedding_rank))

    return type(base.__name__, (base,), {"__init__": build, "__module__": base.__module__})


def feed_forward(model: Any, architecture: Architecture) -> Iterator[tuple[torch.nn.Module, str]]:
    """Pairs of a layer and the path of a feed-forward matrix in it, each matrix once."""
    paths = dict.fromkeys(getattr(architecture, part) for part in (*architecture.neuron_parts, "down"))
    for layer in layers_of(model, architecture):
        for path in paths:
            yield layer, path


def _set_norms(layers: torch.nn.ModuleList, architecture: Architecture, norms: Sequence[bool]) -> None:
    """Give each layer an uninitialised norm before attention, or remove it."""
    if architecture.attention_norm is None:
        return
    for layer, has_norm in zip(layers, norms, strict=True):
        other = next(module for module in layer.modules() if isinstance(module, torch.nn.LayerNorm))
        layer.set_submodule(architecture.attention_norm, copy.deepcopy(other) if has_norm else torch.nn.Identity())


def cut_layer(layer: torch.nn.Module, architecture: Architecture, channels: int, neurons: int) -> None:
    """Replace a layer's matrices by uninitialised ones: with `channels` for all heads together, and `neurons`."""
    sizes = {
        **dict.fromkeys(("query", "key", "value"), (None, channels)),
        "attention_output": (channels, None),
        **dict.fromkeys(architecture.neuron_parts, (None, neurons)),
        "down": (neurons, None),
    }
    paths = {getattr(architecture, part): (len(architecture.stack(part)), *size) for part, size in sizes.items()}
    paths |= dict.fromkeys(position_parts(layer, architecture), (1, None, channels))
    for path, (stacked, inputs, outputs) in paths.items():
        old: Any = layer.get_submodule(path)
        new = torch.nn.Linear(
            inputs or old.in_features,
            outputs * stacked if outputs else old.out_features,
            bias=old.bias is not None,
            device=old.weight.device,
            dtype=old.weight.dtype,
        )
        layer.set_submodule(path, new)
