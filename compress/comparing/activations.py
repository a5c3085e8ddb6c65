"""The tensors inside an ONNX graph on training rows, given batch by batch and never kept."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx

from compress.comparing.sample import sample_rows
from compress.context import Context
from compress.errors import CompressError, InputError
from compress.graphs.calls import bounded_call
from compress.graphs.feeds import Batch, feeds
from compress.models.tokenizer import Tokenizer
from compress.runtimes.onnxruntime import graph_session

BATCH = 8


def calibration_batches(context: Context, tokenizer: Tokenizer, count: int) -> list[Batch]:
    """Padded batches of training rows, drawn at random and ordered by length, so that little is padding.

    Rows whose texts also stand in test are left out.

    Args:
        count: the most rows.

    Raises:
        InputError: every training row also stands in test.
    """
    rows = sample_rows(context.task, context.task.train, count, context.seed)
    if not rows:
        raise InputError(
            f"all {len(context.task.train):,} training rows also stand in test, so none is left to calibrate on",
            fix="give test rows of their own, or a technique that needs no calibration",
        )
    encoded = sorted(context.task.encode(rows, tokenizer), key=lambda row: len(row["input_ids"]))
    return [tokenizer.pad(encoded[start : start + BATCH]) for start in range(0, len(encoded), BATCH)]


def activations(model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Batch]) -> Iterator[Batch]:
    """The named tensors of each batch, as (rows, channels) without padding.

    Args:
        model: the graph; it gets more outputs for a moment.
        names: the names of float tensors inside the graph, whose last axis is the channels.

    Raises:
        CompressError: a value is not finite.
    """
    yield from map(_finite, results(model, names, batches))


def results(model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Batch]) -> Iterator[Batch]:
    """Those of the named tensors that are floats, as `activations` gives them; their values may be not finite."""
    session = _watched(model, names)
    floats = {item.name for item in session.get_outputs() if item.type == "tensor(float)"}
    float_names, feed = [name for name in names if name in floats], feeds(session)
    for batch in batches:
        mask = batch["attention_mask"].astype(bool)  # (batch, tokens)
        tensors = bounded_call(session, float_names, feed(batch)) if float_names else ()  # of no names it gives all
        yield {name: _rows(values, mask) for name, values in zip(float_names, tensors, strict=True)}


def _watched(model: onnx.ModelProto, names: Sequence[str]) -> Any:
    """A session whose outputs are the graph's own and the named tensors."""
    outputs = model.graph.output
    original_outputs = [output.name for output in outputs]
    try:  # a copy with more outputs would double the weights
        more = [name for name in names if name not in original_outputs]
        outputs.extend(onnx.ValueInfoProto(name=name) for name in more)  # onnxruntime finds their types
        return graph_session(model)
    finally:
        del outputs[len(original_outputs) :]


def _finite(tensors: Batch) -> Batch:
    """The same tensors, if all their values are finite.

    Raises:
        CompressError: a value is not finite.
    """
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise CompressError(
                f"the float model computes numbers that are not finite, in '{name}'",
                fix="check the model that was exported: it cannot be calibrated",
            )
    return tensors


def _rows(values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A tensor as (rows, channels), without the values at padding."""
    by_token = values.ndim == mask.ndim + 1 and values.shape[:-1] == mask.shape
    token_values = values[mask] if by_token else values
    return token_values.reshape(-1, token_values.shape[-1])
