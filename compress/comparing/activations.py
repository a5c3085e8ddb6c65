"""What flows through an ONNX graph on training rows, seen batch by batch and never kept."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx

from compress.comparing.drawn import drawn
from compress.context import Context
from compress.errors import CompressError, InputError
from compress.graphs.calls import bounded_call
from compress.graphs.feeds import Batch, feeds
from compress.models.tokenizer import Tokenizer
from compress.runtimes.onnxruntime import graph_session

BATCH = 8


def calibration_batches(context: Context, tokenizer: Tokenizer, count: int) -> list[Batch]:
    """Padded batches of training rows, drawn at random and ordered by length, so that little is padding.

    Rows whose texts also stand in test are left out, where a recipe allows them.

    Args:
        count: of rows, or all if there are fewer.

    Raises:
        InputError: every training row also stands in test.
    """
    rows = drawn(context.task, context.task.train, count, context.seed)
    if not rows:
        raise InputError(
            f"all {len(context.task.train):,} training rows also stand in test, so none is left to calibrate on",
            fix="give test rows of their own, or a technique that needs no calibration",
        )
    encoded = sorted(context.task.encode(rows, tokenizer), key=lambda row: len(row["input_ids"]))
    return [tokenizer.pad(encoded[start : start + BATCH]) for start in range(0, len(encoded), BATCH)]


def activations(model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Batch]) -> Iterator[Batch]:
    """The named tensors of each batch, as (rows, channels); what stands at padding is left out.

    Args:
        model: is not changed, but for a moment.
        names: of tensors of floats inside the graph, whose last axis is the channels.

    Raises:
        CompressError: one is no number.
    """
    yield from map(_finite, results(model, names, batches))


def results(model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Batch]) -> Iterator[Batch]:
    """As `activations`, of those named tensors that are floats; numbers that are not finite may be among them."""
    session = _watched(model, names)
    floats = {item.name for item in session.get_outputs() if item.type == "tensor(float)"}
    wanted, feed = [name for name in names if name in floats], feeds(session)
    for batch in batches:
        mask = batch["attention_mask"].astype(bool)  # (batch, tokens)
        yield {
            name: _rows(values, mask)
            for name, values in zip(wanted, bounded_call(session, wanted, feed(batch)), strict=True)
        }


def _watched(model: onnx.ModelProto, names: Sequence[str]) -> Any:
    """A session that gives the named tensors too."""
    outputs = model.graph.output
    own = [output.name for output in outputs]
    try:  # a copy with more outputs would double the weights
        outputs.extend(onnx.ValueInfoProto(name=name) for name in names if name not in own)  # onnxruntime finds types
        return graph_session(model)
    finally:
        del outputs[len(own) :]


def _finite(found: Batch) -> Batch:
    """The same tensors.

    Raises:
        CompressError: one holds what is no number.
    """
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise CompressError(
                f"the float model computes numbers that are not finite, in '{name}'",
                fix="check the model that was exported: it cannot be calibrated",
            )
    return found


def _rows(values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    by_token = values.ndim == mask.ndim + 1 and values.shape[:-1] == mask.shape
    kept = values[mask] if by_token else values
    return kept.reshape(-1, kept.shape[-1])
