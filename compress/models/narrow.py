"""Narrower hidden states of a model, with each weight projected to the fewer channels.

Each matrix that reads the hidden states is multiplied by a projection, each one that writes them by its transpose, as
in SliceGPT (Ashkboos et al. 2024, arXiv:2401.15024, section 3.2).
"""

from collections.abc import Mapping
from typing import Any

import torch

from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, Architecture
from compress.models.reshape import base_model, columns_of, layers_of, position_biases, position_parts, use_columns
from compress.models.sizes import check_beside_embeddings


def narrow_hidden(model: Any, projection: torch.Tensor, norms: Mapping[str, torch.Tensor] | None = None) -> None:
    """Give a model narrower hidden states, in place.

    Args:
        projection: (old width, new width) with orthonormal columns; a column with a single 1 keeps that channel.
        norms: name of a LayerNorm -> (2, new width), its new scale and bias. None: the projected ones, which is right
            if the projection only selects channels.

    Raises:
        InputError: the model's family is unknown, or its sizes do not show which axes are hidden states.
    """
    config = model.config
    architecture = ARCHITECTURES[config.model_type]
    old, new = projection.shape
    head_size = _head_size(model, architecture)
    if new % head_size:
        raise InputError(
            f"a hidden width of {new} is no multiple of a head's {head_size} channels",
            fix=f"take {max(1, round(new / head_size)) * head_size}",
        )
    if getattr(config, "num_labels", 0) == old:
        raise InputError(
            f"the model has as many classes as channels ({old}), so they cannot be told apart",
            fix="leave its hidden width as it is",
        )
    embeddings = getattr(config, "embedding_size", old)
    if embeddings != old and not architecture.maps_embeddings:
        check_beside_embeddings(new, embeddings, head_size)
    if any(isinstance(module, torch.nn.Conv1d) and module.groups > 1 for module in model.modules()):
        raise InputError(
            "the model has a convolution of groups of channels, which cannot be narrowed",
            fix="leave its hidden width as it is",
        )
    sides = _sides(model, architecture)
    if architecture.position_biases is not None:
        for layer in layers_of(model, architecture):
            heads = range(position_biases(model, architecture).embedding_dim)
            use_columns(layer, architecture, columns_of(layer, architecture) or heads)
    with torch.no_grad():
        for name, module in list(model.named_modules()):
            _narrow_module(name, module, projection, sides, (norms or {}).get(name))
    if getattr(config, "embedding_size", None) == old:
        config.embedding_size = new
    if getattr(config, "pooler_hidden_size", None) == old:
        config.pooler_hidden_size = new
    setattr(config, architecture.hidden_field, new)
    setattr(config, architecture.heads_field, new // head_size)


def _narrow_module(
    name: str, module: Any, projection: torch.Tensor, sides: Mapping[str, str], norm: torch.Tensor | None
) -> None:
    """Narrow the weights of one module along the axes that have the old width."""
    old, new = projection.shape
    if isinstance(module, torch.nn.Embedding) and module.embedding_dim == old:
        module.weight = _parameter(module.weight @ projection)
        module.embedding_dim = new
    elif isinstance(module, torch.nn.LayerNorm) and module.normalized_shape == (old,):
        module.normalized_shape = (new,)
        for row, part in enumerate(("weight", "bias")):
            values = getattr(module, part)
            if values is not None:
                setattr(module, part, _parameter(values @ projection if norm is None else norm[row]))
    elif isinstance(module, torch.nn.Linear):
        side = sides.get(name, "both")
        if module.in_features == old and side != "writes":
            module.weight = _parameter(module.weight @ projection)
            module.in_features = new
        if module.out_features == old and side != "reads":
            module.weight = _parameter(projection.T @ module.weight)
            module.out_features = new
            if module.bias is not None:
                module.bias = _parameter(module.bias @ projection)
    elif isinstance(module, torch.nn.Conv1d) and module.in_channels == old:
        module.weight = _parameter(torch.einsum("oik,oO,iI->OIk", module.weight, projection, projection))
        module.in_channels = module.out_channels = new
        if module.bias is not None:
            module.bias = _parameter(module.bias @ projection)


def _sides(model: Any, architecture: Architecture) -> dict[str, str]:
    """Module name -> whether its matrix reads the hidden states or writes them."""
    names = {id(module): name for name, module in model.named_modules()}
    sides = {}
    for layer in layers_of(model, architecture):
        for part, side in (
            ("query", "reads"),
            ("key", "reads"),
            ("value", "reads"),
            ("attention_output", "writes"),
            ("up", "reads"),
            ("down", "writes"),
        ):
            sides[names[id(layer.get_submodule(getattr(architecture, part)))]] = side
        for path in position_parts(layer, architecture):
            sides[names[id(layer.get_submodule(path))]] = "reads"
    return sides


def _head_size(model: Any, architecture: Architecture) -> int:
    config = base_model(model).config
    return int(getattr(config, architecture.hidden_field)) // int(getattr(config, architecture.heads_field))


def _parameter(values: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(values.detach().clone().contiguous())
