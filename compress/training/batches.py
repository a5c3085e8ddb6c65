"""From encoded rows to the tensors of a batch, as the task collates them, with what teachers said."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from compress.models.tokenizer import Tokenizer
from compress.tasks import Task

Array = np.ndarray[Any, Any]

LABELS = ("labels", "counted")
"""What stands in a batch beside the model's inputs; the second where each token has a label."""


class Collator:
    """Rows to tensors: the inputs that are accepted, the labels, and what the teachers said.

    Of outputs of tokens, what the teachers said stands at the tokens that count, and `taught` (batch, tokens) is 1
    where each of them said something: one that cuts texts earlier says nothing of the last ones.
    """

    def __init__(self, task: Task, tokenizer: Tokenizer, accepted: Collection[str]) -> None:
        # not called `tokenizer`: the Trainer would save an attribute of that name with each checkpoint
        self.collate = partial(task.collate, tokenizer=tokenizer)
        self.accepted = {*accepted, *LABELS}

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """The tensors by their names; `teacher_logits` is (batch, teachers, classes), or (…, tokens, classes)."""
        batch = {name: array for name, array in self.collate(rows).items() if name in self.accepted}
        if "teacher_logits" in rows[0]:
            batch |= _taught([row["teacher_logits"] for row in rows], batch.get("counted"))
        return {name: torch.from_numpy(array) for name, array in batch.items()}


def _taught(outputs: Sequence[Sequence[Array]], counted: Array | None) -> dict[str, Array]:
    """What each row's teachers said, in the batch's shape."""
    if counted is None:
        return {"teacher_logits": np.stack([np.stack(teachers) for teachers in outputs])}
    teachers, classes = len(outputs[0]), outputs[0][0].shape[-1]
    logits = np.zeros((len(outputs), teachers, counted.shape[1], classes), np.float32)
    taught = np.zeros_like(counted)
    for row, said in enumerate(outputs):
        places = np.flatnonzero(counted[row])[: min(map(len, said))]
        logits[row, :, places] = np.stack([one[: len(places)] for one in said], axis=1)  # (places, teachers, classes)
        taught[row, places] = 1
    return {"teacher_logits": logits, "taught": taught}
