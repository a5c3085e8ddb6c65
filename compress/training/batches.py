"""The tensors of a batch: encoded rows as the task collates them, and the teachers' outputs."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from compress.models.tokenizer import Tokenizer
from compress.tasks import Task

Array = np.ndarray[Any, Any]

LABELS = ("labels", "counted")
"""Names of the arrays in a batch that are no model inputs; `counted` only where each token has a label."""


class Collator:
    """Makes a batch of rows: the inputs that the model accepts, the labels, and the teachers' outputs.

    Where each token has a label, the teachers' outputs stand at the tokens that count, and `taught` (batch, tokens) is
    1 at each token for which every teacher has one. A teacher that cuts texts earlier has none for the last tokens.
    """

    def __init__(self, task: Task, tokenizer: Tokenizer, accepted: Collection[str]) -> None:
        # not called `tokenizer`: the Trainer would save an attribute of that name with each checkpoint
        self.collate = partial(task.collate, tokenizer=tokenizer)
        self.accepted = {*accepted, *LABELS}

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """The tensors by name; `teacher_logits` is (batch, teachers, classes) or (batch, teachers, tokens, classes)."""
        batch = {name: array for name, array in self.collate(rows).items() if name in self.accepted}
        if "teacher_logits" in rows[0]:
            batch |= _teacher_arrays([row["teacher_logits"] for row in rows], batch.get("counted"))
        return {name: torch.from_numpy(array) for name, array in batch.items()}


def _teacher_arrays(outputs: Sequence[Sequence[Array]], counted: Array | None) -> dict[str, Array]:
    """The teachers' outputs for each row, as arrays of the batch."""
    if counted is None:
        return {"teacher_logits": np.stack([np.stack(teachers) for teachers in outputs])}
    teachers, classes = len(outputs[0]), outputs[0][0].shape[-1]
    logits = np.zeros((len(outputs), teachers, counted.shape[1], classes), np.float32)
    taught = np.zeros_like(counted)
    for row, row_outputs in enumerate(outputs):
        places = np.flatnonzero(counted[row])[: min(map(len, row_outputs))]
        # the stack is (places, teachers, classes)
        logits[row, :, places] = np.stack([one[: len(places)] for one in row_outputs], axis=1)
        taught[row, places] = 1
    return {"teacher_logits": logits, "taught": taught}
