"""Encoded rows, kept small, with what a teacher said of them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch

from compress.models.tokenizer import Tokenizer
from compress.ops.ragged import Ragged
from compress.tasks import Task

CHUNK = 1024
"""Rows that are encoded at a time: as lists they take ten times the memory."""

Outputs = np.ndarray[Any, Any] | Ragged
"""What a model says of rows: (rows, classes), or for each row (tokens that count, classes)."""


class EncodedRows(torch.utils.data.Dataset[dict[str, Any]]):
    """What a task's `encode` gives of rows, in one array for each name; and a teacher's outputs of them.

    Args:
        max_length: tokens kept of each text; None: the task's.
        teacher_outputs: of each teacher the parts in the rows' order, which may lie in files that are mapped; none
            without a teacher.

    Attributes:
        lengths: tokens of each row.
        outputs: how many outputs a model gives for each row: one, or one for each token that counts.
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
    """Outputs one below the other, none of them copied."""

    def __init__(self, parts: Sequence[Outputs]) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])

    def __getitem__(self, index: int) -> np.ndarray[Any, Any]:
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        row: np.ndarray[Any, Any] = self.parts[part][index - int(self.starts[part])]
        return row


def _columns(chunks: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, Outputs]:
    """By name: an array of the rows' numbers, or their lists below each other."""
    values: dict[str, list[np.ndarray[Any, Any]]] = {}
    lengths: dict[str, list[int]] = {}
    for chunk in chunks:
        for name in chunk[0]:
            column = [row[name] for row in chunk]
            if np.ndim(column[0]):
                lengths.setdefault(name, []).extend(map(len, column))
                column = list(chain.from_iterable(column))
            values.setdefault(name, []).append(_small(np.array(column)))
    whole = {name: np.concatenate(parts) for name, parts in values.items()}
    return {name: Ragged(whole[name], np.cumsum(lengths[name])) if name in lengths else whole[name] for name in whole}


def _small(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whole numbers in no more bytes than they need."""
    if values.dtype.kind != "i":
        return values
    return values.astype(np.promote_types(np.min_scalar_type(values.min()), np.min_scalar_type(values.max())))
