"""From a float graph to a folder with a quantized one: what stays in float, what is written, and the gate."""

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
    """Settings that all quantizers of graphs have."""

    @property
    def keep_float(self) -> tuple[str, ...]:
        """Names of nodes that are not rounded."""
        ...

    @property
    def max_drop_pp(self) -> float | None:
        """Largest loss on held-back rows; None: everything else is rounded."""
        ...

    @property
    def min_agreement(self) -> float:
        """With less, the step fails, and with less than half of it beyond chance."""
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
    """Choose what stays in float, write the rest rounded, and hold the result against the float model.

    Args:
        write: rounds all layers but those that it is told.
        layers: what it can round.
        reference: the float graph.
        folder: of the float model.

    Raises:
        InputError: a node that is to stay in float is not there, or there are no rows for a budget.
        CompressError: the result does not pass the gate, or surely not the budget.
    """
    forced = frozenset(limits.keep_float)
    known = {layer.name for layer in layers}
    for name in sorted(forced - known):
        raise InputError(f"keep_float names '{name}', which is no layer here", fix=did_you_mean(name, sorted(known)))
    kept, judged = forced, context
    searched: dict[str, Sensitivity] = {}
    if limits.max_drop_pp is not None:
        to_search, others = split_held_back(context.task)
        held, judged = held_back(to_search, load_tokenizer(folder)), replace(context, task=others)
        free = [layer for layer in layers if layer.name not in forced]
        found, searched["sensitivity"] = keep_what_matters(
            lambda names: write(names | forced), free, reference, held, limits.max_drop_pp, context
        )
        kept = forced | found
    facts = gate_rounded(write(kept), folder, limits.min_agreement, judged, out)
    assert facts.parity is not None
    _hold_to(limits.max_drop_pp, facts.parity, context)
    return facts.model_copy(update=searched)


def _hold_to(max_drop_pp: float | None, agreed: Agreement, context: Context) -> None:
    """Fail if a budget is surely not kept on the rows that no layers were chosen on.

    Raises:
        CompressError: the whole interval of the drop lies above it.
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
    """Write a rounded graph with what belongs to it, and hold it against the float model in `folder`.

    Raises:
        CompressError: the outputs agree less than `min_agreement` asks.
    """
    save_graph(graph, out)
    copy_config_and_tokenizer(folder, out)
    agreed = parity.gate(folder, out, context, min_agreement)
    return Quantization(left_in_float=left_in_float(graph), parity=agreed)


def save_graph(graph: onnx.ModelProto, folder: Path) -> None:
    """Write model.onnx, its weights beside it where one file cannot hold them."""
    large = sum(len(tensor.raw_data) for tensor in graph.graph.initializer) >= LARGEST_MESSAGE
    beside: dict[str, Any] = {"save_as_external_data": True, "location": f"{MODEL_FILE}.data"} if large else {}
    onnx.save(graph, str(folder / MODEL_FILE), **beside)
