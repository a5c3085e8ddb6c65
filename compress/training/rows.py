"""Encoded rows in little memory, with the teachers' outputs for them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch

from compress.models.tokenizer import Tokenizer
from compress.ops.ragged import Ragged
from compress.tasks import Task

CHUNK = 1024
"""Number of rows that are encoded at a time: as lists they take ten times the memory."""

Outputs = np.ndarray[Any, Any] | Ragged
"""A model's outputs for rows: (rows, classes), or for each row (tokens that count, classes)."""


class EncodedRows(torch.utils.data.Dataset[dict[str, Any]]):
    """Rows as the task's `encode` gives them, in one array for each name, with the teachers' outputs.

    Args:
        max_length: number of tokens kept of each text; None: as many as the task keeps.
        teacher_outputs: for each teacher its outputs, in parts that follow the order of the rows; the arrays may be
            mapped files. Empty without a teacher.

    Attributes:
        lengths: number of tokens of each row.
        outputs: number of outputs that a model gives for each row: one, or one for each token that counts.
    """

    def __init__(
        self,
        rows: Sequence[Any],
        task: Task,
        tokenizer: Tokenizer,
        max_length: int | None,
        teacher_outputs: Sequence[Sequence[Outputs]] = (),
    ) -> None:
        starts = range(0, len(rows), CHUNK)
        self._columns = _columns(task.encode(rows[start : start + CHUNK], tokenizer, max_length) for start in starts)
        self._count = len(rows)
        self.lengths = [len(self._columns["input_ids"][row]) for row in range(len(rows))]
        counted = self._columns.get("counted")
        self.outputs = [1 if counted is None else int(counted[row].sum()) for row in range(len(rows))]
        self._teachers = [_Parts(parts) for parts in teacher_outputs]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {name: column[index] for name, column in self._columns.items()}
        if self._teachers:
            row["teacher_logits"] = [parts[index] for parts in self._teachers]
        return row


class _Parts:
    """Several arrays of outputs read as one, without a copy."""

    def __init__(self, parts: Sequence[Outputs]) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])

    def __getitem__(self, index: int) -> np.ndarray[Any, Any]:
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        row: np.ndarray[Any, Any] = self.parts[part][index - int(self.starts[part])]
        return row


def _columns(chunks: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, Outputs]:
    """For each name an array of all rows: a number for each row, or its lists one after the other."""
    values: dict[str, list[np.ndarray[Any, Any]]] = {}
    lengths: dict[str, list[int]] = {}
    for chunk in chunks:
        for name in chunk[0]:
            column = [row[name] for row in chunk]
            if np.ndim(column[0]):
                lengths.setdefault(name, []).extend(map(len, column))
                column = list(chain.from_iterable(column))
            values.setdefault(name, []).append(_small(np.array(column)))
    arrays = {name: np.concatenate(parts) for name, parts in values.items()}
    return {
        name: Ragged(arrays[name], np.cumsum(lengths[name])) if name in lengths else arrays[name] for name in arrays
    }


def _small(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values, in the smallest integer type that holds them if they are integers."""
    if values.dtype.kind != "i":
        return values
    return values.astype(np.promote_types(np.min_scalar_type(values.min()), np.min_scalar_type(values.max())))
