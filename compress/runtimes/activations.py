"""What flows through an ONNX graph on training rows, seen batch by batch and never kept."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from compress.context import Context
from compress.errors import CompressError
from compress.models.tokenizer import Tokenizer

BATCH = 8

Batch = Mapping[str, np.ndarray[Any, Any]]


def calibration_batches(context: Context, tokenizer: Tokenizer, count: int) -> list[Batch]:
    """Padded batches of training rows, drawn at random and ordered by length, so that little is padding.

    Args:
        count: of rows, or all if there are fewer.
    """
    rows = context.task.train
    drawn = np.random.default_rng(context.seed).permutation(len(rows))[:count]
    encoded = sorted(
        context.task.encode([rows[int(row)] for row in drawn], tokenizer), key=lambda row: len(row["input_ids"])
    )
    return [tokenizer.pad(encoded[start : start + BATCH]) for start in range(0, len(encoded), BATCH)]


def activations(model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Batch]) -> Iterator[Batch]:
    """The named tensors of each batch, as (rows, channels); what stands at padding is left out.

    Args:
        model: is not changed.
        names: of tensors of floats inside the graph, whose last axis is the channels.

    Raises:
        CompressError: one is no number.
    """
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    own = {output.name for output in model.graph.output}
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names if name not in own
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = [item.name for item in session.get_inputs()]
    for batch in batches:
        mask = batch["attention_mask"].astype(bool)  # (batch, tokens)
        found = session.run(list(names), {name: batch[name] for name in inputs})
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
