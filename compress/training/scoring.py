"""Scores of a model's parts: how much its outputs need each head, neuron, channel and layer."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from compress.context import Context
from compress.data.splits import sample
from compress.models.architectures import ARCHITECTURES, Shape
from compress.models.cutting import part, skipping
from compress.models.inputs import input_names
from compress.models.reshape import base_model, depth, has_convolution, layers_of, weight_of
from compress.models.tokenizer import Tokenizer
from compress.ops.importance import ChannelGate, LayerScores, Norms, OutputGate, PartScores, fisher, magnitude, taylor
from compress.tasks import UNKNOWN
from compress.training.config import TrainingConfig
from compress.training.loop import training_length

Batch = dict[str, torch.Tensor]
HEAD_PARTS = ("query", "key", "value")
"""The matrices whose outputs are the channels of the heads."""


class ScoreRows:
    """The training rows that scores are computed on, drawn by the seed and encoded once.

    Args:
        count: the most rows.
        training: the settings for the length of texts and the size of batches.
    """

    def __init__(self, tokenizer: Tokenizer, count: int, training: TrainingConfig, context: Context) -> None:
        sampled = sample(context.task.train, count, context.seed)
        encoded = context.task.encode(sampled, tokenizer, training_length(training.train_length, context))
        labelled = [row for row in encoded if np.any(np.not_equal(row["labels"], UNKNOWN))]  # others have no loss
        self.rows = sorted(labelled, key=lambda row: len(row["input_ids"]))
        self.run_rows = min(count, context.train_rows) * len(labelled) // max(len(encoded), 1)
        self.tokenizer, self.batch_size, self.context = tokenizer, training.batch_size, context

    def batches(self, model: Any, what: str) -> Iterator[Batch]:
        """The rows in batches of the model's inputs and `labels`, on its device; reports progress as `what`."""
        accepted = {*input_names(model), "labels"}
        for start in range(0, len(self.rows), self.batch_size):
            rows = self.rows[start : start + self.batch_size]
            arrays = self.context.task.collate(rows, self.tokenizer)
            yield {name: torch.from_numpy(arrays[name]).to(model.device) for name in arrays if name in accepted}
            self.context.progress(what, start + len(rows), self.run_rows)


def score_layers(model: Any, shape: Shape, importance: str, rows: ScoreRows, what: str) -> list[LayerScores]:
    """The scores of each layer's heads and neurons.

    Args:
        importance: taylor, fisher, activation or magnitude; magnitude needs no rows.
    """
    if importance == "magnitude":
        scores = _magnitudes(model, shape)
    elif importance == "activation":
        scores = _activations(model, shape, rows, what)
    else:
        scores = _from_gradients(model, shape, importance, rows, what)
    return scores * (shape.layers // len(scores))  # a layer that runs again and again has one score for all its runs


def _from_gradients(model: Any, shape: Shape, importance: str, rows: ScoreRows, what: str) -> list[LayerScores]:
    """Scores by the gradients of gates: taylor or fisher."""
    score = {"taylor": taylor, "fisher": fisher}[importance]
    scores = []
    for head_gradients, neuron_gradients in _gradients(model, shape, rows, what):
        keep = importance == "fisher"
        heads = PartScores(score(head_gradients), head_gradients if keep else None)
        scores.append(LayerScores(heads, PartScores(score(neuron_gradients), neuron_gradients if keep else None)))
    return scores


def _magnitudes(model: Any, shape: Shape) -> list[LayerScores]:
    """Scores by the size of the weights."""
    architecture = ARCHITECTURES[shape.model_type]
    scores = []
    for layer in layers_of(model, architecture):
        readers = {name: weight_of(layer, architecture, name) for name in (*HEAD_PARTS, *architecture.neuron_parts)}
        writers = [part(layer, architecture, name).weight.T for name in ("attention_output", "down")]
        heads = magnitude([*(readers[name] for name in HEAD_PARTS), writers[0]], shape.head_size)
        neurons = magnitude([*(readers[name] for name in architecture.neuron_parts), writers[1]], 1)
        scores.append(LayerScores(PartScores(heads), PartScores(neurons)))
    return scores


def _activations(model: Any, shape: Shape, rows: ScoreRows, what: str) -> list[LayerScores]:
    """Scores by the size of the activations."""
    architecture = ARCHITECTURES[shape.model_type]
    layers = layers_of(model, architecture)
    heads = [Norms(part(layer, architecture, "attention_output"), shape.head_size) for layer in layers]
    neurons = [Norms(part(layer, architecture, "down"), 1) for layer in layers]
    with torch.no_grad():
        for batch in rows.batches(model, what):
            model(**batch)
            for norms in (*heads, *neurons):
                norms.collect(batch["attention_mask"])
    return [
        LayerScores(PartScores(head.close()), PartScores(neuron.close()))
        for head, neuron in zip(heads, neurons, strict=True)
    ]


def _gradients(model: Any, shape: Shape, rows: ScoreRows, what: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The gradients of the gates of each layer: (rows, heads) and (rows, neurons)."""
    architecture = ARCHITECTURES[shape.model_type]
    layers = layers_of(model, architecture)
    heads = [ChannelGate(part(layer, architecture, "attention_output"), shape.head_size) for layer in layers]
    neurons = [ChannelGate(part(layer, architecture, "down"), 1) for layer in layers]
    _collect(model, [*heads, *neurons], rows, what)
    return [(head.close(), neuron.close()) for head, neuron in zip(heads, neurons, strict=True)]


def _collect(model: Any, gates: Sequence[ChannelGate], rows: ScoreRows, what: str) -> None:
    """Run the rows forward and backward, and collect the gates' gradients."""
    model.requires_grad_(False)  # only the gates need gradients
    for batch in rows.batches(model, what):
        output = model(**batch)
        label_count = int((batch["labels"] != UNKNOWN).sum())
        (output.loss * label_count).backward()  # the loss is a mean; the gates want a sum over rows
        for gate in gates:
            gate.collect()
    model.requires_grad_(True)


def score_hidden(model: Any, shape: Shape, importance: str, rows: ScoreRows, what: str) -> PartScores:
    """The scores of the channels of the hidden states, each over all layers.

    Args:
        importance: taylor, fisher, activation or magnitude. Activation is measured at the matrices that read a channel;
            magnitude at those that read it and those that write it, and needs no rows.
    """
    architecture = ARCHITECTURES[shape.model_type]
    layers = layers_of(model, architecture)
    names = (*HEAD_PARTS, *architecture.neuron_parts)
    readers = list(dict.fromkeys(part(layer, architecture, name) for layer in layers for name in names))
    if importance == "magnitude":
        writers = [part(layer, architecture, name) for layer in layers for name in ("attention_output", "down")]
        return PartScores(magnitude([*(reader.weight.T for reader in readers), *(one.weight for one in writers)], 1))
    if importance == "activation":
        norms = [Norms(reader, 1) for reader in readers]
        with torch.no_grad():
            for batch in rows.batches(model, what):
                model(**batch)
                for norm in norms:
                    norm.collect(batch["attention_mask"])
        return PartScores(torch.stack([norm.close() for norm in norms]).square().sum(dim=0).sqrt())
    layer_norms = [
        module
        for module in base_model(model).modules()
        if isinstance(module, torch.nn.LayerNorm) and module.normalized_shape == (shape.hidden,)
    ]
    gate = OutputGate(layer_norms, shape.hidden)
    _collect(model, [gate], rows, what)
    gradients = gate.close()
    return PartScores(taylor(gradients)) if importance == "taylor" else PartScores(fisher(gradients), gradients)


def least_needed_layers(model: Any, count: int, rows: ScoreRows, what: str) -> list[tuple[int, float]]:
    """The layers that the model's outputs need least, chosen one at a time, without the layers chosen before.

    For each choice, costs a forward pass over the rows for each layer that is still there.

    Args:
        count: number of layers to choose.

    Returns:
        For each chosen layer, in the order of choice: its number, counted from 0, and the mean Kullback-Leibler
        divergence of the outputs without it from those of the original model, in nats a row (a token).
    """
    if count == 0:
        return []
    total, repeats = depth(model), ARCHITECTURES[model.config.model_type].repeats
    always = {0} if has_convolution(model) else set()  # it reads what the first layer reads
    original = _outputs(model, rows, what)
    removed: list[tuple[int, float]] = []
    for _ in range(count):
        divergences = {}
        indices = [index for index, _ in removed]
        left = sorted(set(range(total)) - set(indices) - always)
        for index in left[-1:] if repeats else left:  # of a layer that runs again and again, no run is like no other
            with skipping(model, [*indices, index]):
                outputs = _outputs(model, rows, f"{what}: {len(removed) + 1} gone, layer {index + 1}")
            divergence = functional.kl_div(outputs, original, reduction="batchmean", log_target=True)
            divergences[index] = float(divergence)
        removed.append(min(divergences.items(), key=lambda item: item[1]))
    return removed


def _outputs(model: Any, rows: ScoreRows, what: str) -> torch.Tensor:
    """The log-probabilities, (rows, classes); where each token has a label, (tokens with a known label, classes)."""
    logits = []
    with torch.no_grad():
        for batch in rows.batches(model, what):
            logits.append(model(**batch).logits[batch["labels"] != UNKNOWN].double().cpu())
    return functional.log_softmax(torch.cat(logits), dim=-1)
