"""What flows through an ONNX graph on training rows, seen batch by batch and never kept."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from compress.context import Context
from compress.errors import CompressError, InputError
from compress.models.feeds import Batch, feeds
from compress.models.tokenizer import Tokenizer
from compress.runtimes.onnxruntime import graph_session
from compress.tasks import Task

BATCH = 8


def calibration_batches(context: Context, tokenizer: Tokenizer, count: int) -> list[Batch]:
    """Padded batches of training rows, drawn at random and ordered by length, so that little is padding.

    Rows whose texts also stand in test are left out, where a recipe allows them.

    Args:
        count: of rows, or all if there are fewer.

    Raises:
        InputError: every training row also stands in test.
    """
    rows = _apart_from_test(context.task)
    drawn = np.random.default_rng(context.seed).permutation(len(rows))[:count]
    encoded = sorted(
        context.task.encode([rows[int(row)] for row in drawn], tokenizer), key=lambda row: len(row["input_ids"])
    )
    return [tokenizer.pad(encoded[start : start + BATCH]) for start in range(0, len(encoded), BATCH)]


def _apart_from_test(task: Task) -> Sequence[Any]:
    """The training rows whose texts do not stand in test."""
    if not task.overlap:
        return task.train
    tested = set(_contents(task, task.test))
    apart = [row for row, said in zip(task.train, _contents(task, task.train), strict=True) if said not in tested]
    if not apart:
        raise InputError(
            f"all {len(task.train):,} training rows also stand in test, so none is left to calibrate on",
            fix="give test rows of their own, or a technique that needs no calibration",
        )
    return apart


def _contents(task: Task, rows: Sequence[Any]) -> list[tuple[str, str]]:
    """Both texts of each row, without white space around them."""
    texts, pairs = task.texts(rows)
    return [(text.strip(), pair.strip()) for text, pair in zip(texts, pairs or [""] * len(texts), strict=True)]


def activations(model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Batch]) -> Iterator[Batch]:
    """The named tensors of each batch, as (rows, channels); what stands at padding is left out.

    Args:
        model: is not changed, but for a moment.
        names: of tensors of floats inside the graph, whose last axis is the channels.

    Raises:
        CompressError: one is no number.
    """
    outputs = model.graph.output
    own = [output.name for output in outputs]
    try:  # a copy with more outputs would double the weights
        outputs.extend(
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names if name not in own
        )
        session = graph_session(model)
    finally:
        del outputs[len(own) :]
    feed = feeds(session)
    for batch in batches:
        mask = batch["attention_mask"].astype(bool)  # (batch, tokens)
        found = session.run(list(names), feed(batch))
        yield {name: _rows(name, values, mask) for name, values in zip(names, found, strict=True)}


def _rows(name: str, values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not np.isfinite(values).all():
        raise CompressError(
            f"the float model computes numbers that are not finite, in '{name}'",
            fix="check the model that was exported: it cannot be calibrated",
        )
    by_token = values.ndim == mask.ndim + 1 and values.shape[:-1] == mask.shape
    kept = values[mask] if by_token else values
    return kept.reshape(-1, kept.shape[-1])
