"""From a float graph to a folder with a quantized one: what stays in float, what is written, and the gate."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import onnx

from compress.context import Context
from compress.errors import InputError, did_you_mean
from compress.models.matrices import left_in_float
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.runtimes import parity
from compress.runtimes.held_back import held_back
from compress.runtimes.mixed_precision import Layer, Write, keep_what_matters
from compress.runtimes.onnxruntime import LARGEST_MESSAGE, MODEL_FILE


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
        """With less, the step fails."""
        ...


def write_rounded(
    write: Write,
    layers: Sequence[Layer],
    reference: onnx.ModelProto,
    folder: Path,
    limits: Limits,
    context: Context,
    out: Path,
) -> dict[str, Any]:
    """Choose what stays in float, write the rest rounded, and hold the result against the float model.

    Args:
        write: rounds all layers but those that it is told.
        layers: what it can round.
        reference: the float graph.
        folder: of the float model.

    Returns:
        Facts for the manifest.

    Raises:
        InputError: a node that is to stay in float is not there, or there are no rows for a budget.
        CompressError: the result does not pass the gate.
    """
    forced = frozenset(limits.keep_float)
    known = {layer.name for layer in layers}
    for name in sorted(forced - known):
        raise InputError(f"keep_float names '{name}', which is no layer here", fix=did_you_mean(name, sorted(known)))
    facts: dict[str, Any] = {}
    kept = forced
    if limits.max_drop_pp is not None:
        held = held_back(context.task, load_tokenizer(folder))
        free = [layer for layer in layers if layer.name not in forced]
        found, facts["sensitivity"] = keep_what_matters(
            lambda names: write(names | forced), free, reference, held, limits.max_drop_pp, context
        )
        kept = forced | found
    return facts | gate_rounded(write(kept), folder, limits.min_agreement, context, out)


def gate_rounded(
    graph: onnx.ModelProto, folder: Path, min_agreement: float, context: Context, out: Path
) -> dict[str, Any]:
    """Write a rounded graph with what belongs to it, and hold it against the float model in `folder`.

    Returns:
        Facts for the manifest.

    Raises:
        CompressError: fewer rows than `min_agreement` keep their best class.
    """
    save_graph(graph, out)
    shutil.copyfile(folder / "config.json", out / "config.json")
    copy_tokenizer(folder, out)
    agreed = parity.gate(folder, out, context, min_agreement)
    return {"left_in_float": left_in_float(graph), **agreed.facts()}


def save_graph(graph: onnx.ModelProto, folder: Path) -> None:
    """Write model.onnx, its weights beside it where one file cannot hold them."""
    large = sum(len(tensor.raw_data) for tensor in graph.graph.initializer) >= LARGEST_MESSAGE
    beside: dict[str, Any] = {"save_as_external_data": True, "location": f"{MODEL_FILE}.data"} if large else {}
    onnx.save(graph, str(folder / MODEL_FILE), **beside)
