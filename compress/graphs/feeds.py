"""The inputs of an ONNX session: the batch's arrays, in the types that its graph reads."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from compress.errors import InputError

Batch = Mapping[str, np.ndarray[Any, Any]]

TOKENIZER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""The inputs that a tokenizer makes."""
TYPES: Mapping[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(float)": np.float32,
}


def feeds(session: Any, where: str | None = None) -> Callable[[Batch], dict[str, np.ndarray[Any, Any]]]:
    """A function that makes a session's inputs of a batch: those that the graph has, in its own types.

    Args:
        session: a session of onnxruntime.
        where: the graph's file, for error messages.

    Returns:
        The function. It raises InputError if the graph has an input that the batch lacks, or one of another fixed
        shape.
    """
    inputs = [(item.name, TYPES.get(item.type), item.shape) for item in session.get_inputs()]
    fixed = [
        (name, axis, size) for name, _, shape in inputs for axis, size in enumerate(shape or ()) if type(size) is int
    ]

    def feed(batch: Batch) -> dict[str, np.ndarray[Any, Any]]:
        missing = [name for name, _, _ in inputs if name not in batch]
        if missing:
            raise unknown_inputs(missing, where)
        for name, axis, size in fixed:
            if batch[name].shape[axis : axis + 1] != (size,):
                raise fixed_shape(name, axis, size, where)
        return {name: batch[name] if kind is None else batch[name].astype(kind, copy=False) for name, kind, _ in inputs}

    return feed


def check_inputs(session: Any, where: str) -> None:
    """Refuse a graph that has other inputs than a tokenizer gives, or takes batches of one shape alone.

    Raises:
        InputError: names the first input that is wrong.
    """
    unknown = [item.name for item in session.get_inputs() if item.name not in TOKENIZER_INPUTS]
    if unknown:
        raise unknown_inputs(unknown, where)
    for item in session.get_inputs():
        for axis, size in enumerate(item.shape or ()):
            if type(size) is int:
                raise fixed_shape(item.name, axis, size, where)


def unknown_inputs(names: list[str], where: str | None) -> InputError:
    """The error for a graph with inputs that no tokenizer gives."""
    return InputError(
        f"the graph asks for {', '.join(repr(name) for name in names)}; a text gives {', '.join(TOKENIZER_INPUTS)}",
        where=where,
        fix="export it with inputs of these names alone; positions are best computed inside of the graph",
    )


def fixed_shape(name: str, axis: int, size: int, where: str | None) -> InputError:
    """The error for a graph that takes batches of one shape alone."""
    what = {0: f"{size} rows a batch", 1: f"{size} tokens a row"}.get(axis, f"a size of {size} at axis {axis}")
    return InputError(
        f"the graph's input '{name}' is bound to {what}",
        where=where,
        fix="export it with dynamic_axes (or dynamic_shapes), so that it takes any batch and length",
    )
