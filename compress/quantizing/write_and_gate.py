"""Writing of a quantized graph: the choice of what stays in float, the folder, and the gate on quality."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import onnx

from compress.comparing import parity
from compress.comparing.held_back import held_back, split_held_back
from compress.context import Context
from compress.errors import CompressError, InputError, did_you_mean
from compress.facts import Agreement, Quantization, Sensitivity
from compress.graphs.matrices import left_in_float
from compress.models.files import MODEL_FILE, copy_config_and_tokenizer
from compress.models.tokenizer import load_tokenizer
from compress.quantizing.mixed_precision import Layer, Write, keep_what_matters
from compress.runtimes.onnxruntime import LARGEST_MESSAGE


class Limits(Protocol):
    """The settings that all quantizers of graphs share."""

    @property
    def keep_float(self) -> tuple[str, ...]:
        """Names of nodes that stay in float."""
        ...

    @property
    def max_drop_pp(self) -> float | None:
        """Largest loss on held-back rows; None to round everything else."""
        ...

    @property
    def min_agreement(self) -> float:
        """Least agreement with the float model; beyond chance, half of it is enough."""
        ...


def write_rounded(
    write: Write,
    layers: Sequence[Layer],
    reference: onnx.ModelProto,
    folder: Path,
    limits: Limits,
    context: Context,
    out: Path,
) -> Quantization:
    """Choose what stays in float, write the rest rounded, and compare the result with the float model.

    Args:
        write: gives the graph with all layers rounded except the named ones.
        layers: the layers that `write` can round.
        reference: the float graph.
        folder: the float model's folder.

    Raises:
        InputError: a node that is to stay in float is missing, or there are no rows for a budget.
        CompressError: the result fails the gate, or certainly exceeds the budget.
    """
    forced = frozenset(limits.keep_float)
    layer_names = {layer.name for layer in layers}
    for name in sorted(forced - layer_names):
        raise InputError(
            f"keep_float names '{name}', which is no layer here", fix=did_you_mean(name, sorted(layer_names))
        )
    float_layers, judged = forced, context
    searched: dict[str, Sensitivity] = {}
    if limits.max_drop_pp is not None:
        to_search, others = split_held_back(context.task)
        held, judged = held_back(to_search, load_tokenizer(folder)), replace(context, task=others)
        free = [layer for layer in layers if layer.name not in forced]
        sensitive, searched["sensitivity"] = keep_what_matters(
            lambda names: write(names | forced), free, reference, held, limits.max_drop_pp, context
        )
        float_layers = forced | sensitive
    facts = gate_rounded(write(float_layers), folder, limits.min_agreement, judged, out)
    assert facts.parity is not None
    _hold_to(limits.max_drop_pp, facts.parity, context)
    return facts.model_copy(update=searched)


def _hold_to(max_drop_pp: float | None, agreed: Agreement, context: Context) -> None:
    """Fail if the loss is certainly above the budget on rows that the choice of layers did not use.

    Raises:
        CompressError: the whole interval of the loss is above the budget.
    """
    low = agreed.drop_low_pp
    if max_drop_pp is None or low is None or low <= max_drop_pp or context.rehearsal is not None:
        return
    raise CompressError(
        f"max_drop_pp {max_drop_pp:g} is not kept: layers were left in float until the rows searched on lost no more, "
        f"but {agreed.rows} others lose {agreed.drop_pp:.2f} points, at least {low:.2f}",
        fix="give more validation rows, allow a larger drop, or take a gentler method",
    )


def gate_rounded(
    graph: onnx.ModelProto, folder: Path, min_agreement: float, context: Context, out: Path
) -> Quantization:
    """Write a rounded graph with its model's other files, and compare it with the float model in `folder`.

    Raises:
        CompressError: the outputs agree less than `min_agreement`.
    """
    save_graph(graph, out)
    copy_config_and_tokenizer(folder, out)
    agreed = parity.gate(folder, out, context, min_agreement)
    return Quantization(left_in_float=left_in_float(graph), parity=agreed)


def save_graph(graph: onnx.ModelProto, folder: Path) -> None:
    """Write model.onnx, with its weights in a second file if one file is too small for them."""
    large = sum(len(tensor.raw_data) for tensor in graph.graph.initializer) >= LARGEST_MESSAGE
    beside: dict[str, Any] = {"save_as_external_data": True, "location": f"{MODEL_FILE}.data"} if large else {}
    onnx.save(graph, str(folder / MODEL_FILE), **beside)
