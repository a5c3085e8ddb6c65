"""Elastic models: all sizes in one, where each smaller model is the first part of every dimension of a larger one.

Heads, neurons and hidden channels are sorted by importance, so a sub-model has the first of each; of the layers it has
some that are evenly spaced. Sub-models share the weights of the whole: Cai et al. 2020 (arXiv:1908.09791), section 3;
for transformers Hou et al. 2020 (arXiv:2004.04037), section 2.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, Architecture, Shape, evenly_spaced
from compress.models.cutting import cut, part
from compress.models.narrow import narrow_hidden
from compress.models.reshape import keep_layers, layers_of, model_shape
from compress.models.sizes import check_whole
from compress.ops.importance import LayerScores

SORTED_KEY = "compress_sorted"
"""Key of config.json that says that heads, neurons and hidden channels are sorted by importance."""


@dataclass(frozen=True, order=True)
class Size:
    """The size of a sub-model: layers, and for each of them the width, the heads and the neurons."""

    layers: int
    hidden: int
    heads: int
    neurons: int

    def shape(self, whole: Shape) -> Shape:
        """The shape of a sub-model of this size."""
        shape = whole.with_layers(evenly_spaced(self.layers, whole.layers))
        heads, neurons = (self.heads,) * self.layers, (self.neurons,) * self.layers
        return replace(shape, hidden=self.hidden, heads=heads, neurons=neurons)


def refuse_elastic(shape: Shape) -> None:
    """Refuse a model whose sub-models are not the first parts of its matrices.

    Raises:
        InputError: its family shares matrices or layers, or it is cut unevenly.
    """
    check_whole(shape)
    if not ARCHITECTURES[shape.model_type].is_traced:
        raise InputError(
            f"a {shape.model_type} has matrices or layers that are shared, so its parts cannot be sorted one by one",
            fix="take distill, with sizes of your own",
        )


def is_sorted(model: Any) -> bool:
    """Whether the model's parts are sorted by importance."""
    return bool(getattr(model.config, SORTED_KEY, False))


def sort_parts(model: Any, scores: Sequence[LayerScores], hidden: torch.Tensor) -> None:
    """Sort heads, neurons and hidden channels by importance, in place; the model's outputs stay as they are.

    Args:
        scores: for each layer those of its heads and neurons.
        hidden: (hidden channels,) their scores.
    """
    shape = model_shape(model)
    assert shape is not None
    architecture = ARCHITECTURES[shape.model_type]
    for layer, layer_scores in zip(layers_of(model, architecture), scores, strict=True):
        heads = _order(layer_scores.heads.scores)
        channels = (heads[:, None] * shape.head_size + torch.arange(shape.head_size)).flatten()
        _permute(layer, architecture, ("query", "key", "value", "attention_output"), channels)
        _permute(layer, architecture, (*architecture.neuron_parts, "down"), _order(layer_scores.neurons.scores))
    narrow_hidden(model, torch.eye(shape.hidden)[:, _order(hidden)])
    setattr(model.config, SORTED_KEY, True)


def _order(scores: torch.Tensor) -> torch.Tensor:
    """Indices from the highest score to the lowest; ties keep their order."""
    return torch.sort(scores.cpu(), descending=True, stable=True).indices


def _permute(layer: torch.nn.Module, architecture: Architecture, parts: Sequence[str], order: torch.Tensor) -> None:
    """Permute outputs of all parts but the last, and inputs of the last."""
    *reading, writing = parts
    with torch.no_grad():
        for name in reading:
            linear = part(layer, architecture, name)
            linear.weight.copy_(linear.weight[order].clone())
            if linear.bias is not None:
                linear.bias.copy_(linear.bias[order].clone())
        last = part(layer, architecture, writing)
        last.weight.copy_(last.weight[:, order].clone())


def cut_to(model: Any, size: Size) -> None:
    """Cut a sorted model to a sub-model, in place."""
    whole = model_shape(model)
    assert whole is not None
    keep_layers(model, evenly_spaced(size.layers, whole.layers))
    cut_first(model, size.shape(whole))


def cut_first(model: Any, shape: Shape) -> None:
    """Cut a sorted model to the first heads, neurons and hidden channels of a shape of as many layers, in place."""
    before = model_shape(model)
    assert before is not None
    removed = [
        (range(heads, all_heads), range(neurons, all_neurons))
        for heads, all_heads, neurons, all_neurons in zip(
            shape.heads, before.heads, shape.neurons, before.neurons, strict=True
        )
    ]
    cut(model, before, removed)
    if shape.hidden < before.hidden:
        narrow_hidden(model, torch.eye(before.hidden)[:, : shape.hidden])


class SubModels:
    """Sub-models that are run with the weights of the whole, so that gradients reach those.

    Args:
        model: the sorted model, whose weights are read at each call.
    """

    def __init__(self, model: Any) -> None:
        shape = model_shape(model)
        assert shape is not None
        self.whole = shape
        self._model, self._template = model, copy.deepcopy(model)
        self._skeletons: dict[Size, Any] = {}
        self._prefix = _layers_prefix(model, ARCHITECTURES[shape.model_type])

    def logits(self, size: Size, inputs: Mapping[str, torch.Tensor], *, training: bool) -> torch.Tensor:
        """A sub-model's logits, (batch, classes) or (batch, tokens, classes)."""
        skeleton = self._skeleton(size).train(training)
        weights = dict(self._model.named_parameters())
        shared = {
            name: weights[self._name_in_whole(name, size)][tuple(map(slice, parameter.shape))]
            for name, parameter in skeleton.named_parameters()
        }
        output = torch.func.functional_call(skeleton, shared, kwargs=dict(inputs))
        logits: torch.Tensor = output.logits
        return logits

    def _skeleton(self, size: Size) -> Any:
        """A model of a size, whose own weights are not used and take no memory."""
        if size not in self._skeletons:
            model = copy.deepcopy(self._template)
            with torch.enable_grad():  # what is cut is found by tracing gradients
                cut_to(model, size)
            for module in model.modules():
                for name, parameter in list(module.named_parameters(recurse=False)):
                    setattr(module, name, torch.nn.Parameter(parameter.detach().to("meta"), requires_grad=False))
                for name, buffer in list(module.named_buffers(recurse=False)):
                    setattr(module, name, buffer.to(self._model.device))
            self._skeletons[size] = model
        return self._skeletons[size]

    def _name_in_whole(self, name: str, size: Size) -> str:
        """The name in the whole model of a sub-model's parameter."""
        if not name.startswith(self._prefix):
            return name
        number, _, rest = name.removeprefix(self._prefix).partition(".")
        return f"{self._prefix}{evenly_spaced(size.layers, self.whole.layers)[int(number)]}.{rest}"


def _layers_prefix(model: Any, architecture: Architecture) -> str:
    """What the names of all parameters of layers begin with."""
    layers = layers_of(model, architecture)
    return next(f"{name}." for name, module in model.named_modules() if module is layers)
