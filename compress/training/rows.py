"""Encoded rows, kept small, with what a teacher said of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from compress.models.tokenizer import Tokenizer
from compress.tasks import Task

CHUNK = 1024
"""Rows that are encoded at a time: as lists they take ten times the memory."""


class EncodedRows(torch.utils.data.Dataset[dict[str, Any]]):
    """Token ids of rows, not padded, in one array; and their logits, which may lie in files that are mapped.

    Args:
        max_length: tokens kept of each text; None: the task's.
        teacher_logits: of each teacher the parts in the rows' order, each (rows of the part, classes); none without
            a teacher.

    Attributes:
        lengths: tokens of each row.
    """

    def __init__(
        self,
        rows: Sequence[Any],
        task: Task,
        tokenizer: Tokenizer,
        max_length: int | None,
        teacher_logits: Sequence[Sequence[np.ndarray[Any, Any]]] = (),
    ) -> None:
        ids: list[np.ndarray[Any, Any]] = [np.empty(0, np.int32)]
        types: list[np.ndarray[Any, Any]] = [np.empty(0, np.int8)]
        labels: list[int] = []
        for start in range(0, len(rows), CHUNK):
            for row in task.encode(rows[start : start + CHUNK], tokenizer, max_length):
                ids.append(np.array(row["input_ids"], np.int32))
                types.append(np.array(row["token_type_ids"], np.int8))
                labels.append(row["labels"])
        self.lengths = [len(row) for row in ids[1:]]
        self._ends = np.cumsum([0, *self.lengths])
        self._ids, self._types, self._labels = np.concatenate(ids), np.concatenate(types), labels
        self._teachers = [_Parts(parts) for parts in teacher_logits]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = slice(self._ends[index], self._ends[index + 1])
        row = {
            "input_ids": self._ids[place],
            "attention_mask": np.ones(self.lengths[index], np.int8),
            "token_type_ids": self._types[place],
            "labels": self._labels[index],
        }
        if self._teachers:
            row["teacher_logits"] = np.stack([parts[index] for parts in self._teachers])  # (teachers, classes)
        return row


class _Parts:
    """Arrays one below the other, none of them copied."""

    def __init__(self, parts: Sequence[np.ndarray[Any, Any]]) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts])

    def __getitem__(self, index: int) -> np.ndarray[Any, Any]:
        part = int(np.searchsorted(self.ends, index, side="right"))
        row: np.ndarray[Any, Any] = self.parts[part][index - self.ends[part]]  # from the end of it, so negative
        return row
