"""Training under a teacher.

What the teacher says of the training rows is computed once, kept in the store, and shared by all steps that want it.
"""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compress.context import Context
from compress.models.load import load_model
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.ops.losses import distillation_loss
from compress.store import Artifact
from compress.training.config import DistillationConfig
from compress.training.loop import train, training_length

BATCH = 32


def train_under_teacher(
    student: Any,
    tokenizer: Tokenizer,
    teacher: Artifact,
    config: DistillationConfig,
    context: Context,
    *,
    what: str,
) -> dict[str, Any]:
    """Train `student` in place on the teacher's outputs and the labels; see `compress.training.loop.train`."""
    said = teacher_logits(teacher, config.train_length, context)
    loss = partial(
        distillation_loss,
        temperature=config.temperature,
        soft_weight=config.soft_weight,
        hard_weight=config.hard_weight,
    )
    return train(student, tokenizer, config, context, what=what, teacher_logits=said, loss=loss)


def teacher_logits(teacher: Artifact, max_length: int | None, context: Context) -> np.ndarray[Any, Any]:
    """The teacher's outputs of every training row, in the rows' order.

    Args:
        max_length: tokens kept of each text; left out: the task's.

    Returns:
        (training rows, classes) of float32.
    """
    length = training_length(max_length, context)

    def make(out: Path) -> dict[str, Any]:
        logits = _compute(teacher, length, context)
        np.save(out / "logits.npy", logits, allow_pickle=False)
        return {"rows": len(logits)}

    kept = context.cached("teacher_logits", {"max_length": length}, {"teacher": teacher.key}, make)
    logits: np.ndarray[Any, Any] = np.load(kept.path / "logits.npy", allow_pickle=False)
    return logits


def _compute(teacher: Artifact, length: int, context: Context) -> np.ndarray[Any, Any]:
    tokenizer = load_tokenizer(teacher.path)
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code).to(
        context.device
    )
    accepted = set(inspect.signature(model.forward).parameters)
    rows = context.task.encode(context.task.train, tokenizer, max_length=length)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
    logits: np.ndarray[Any, Any] | None = None
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            batch = tokenizer.pad([rows[index] for index in chosen])
            inputs = {
                name: torch.from_numpy(array).to(context.device) for name, array in batch.items() if name in accepted
            }
            said = model(**inputs).logits.float().cpu().numpy()  # (batch, classes)
            if logits is None:
                logits = np.empty((len(rows), said.shape[1]), dtype=np.float32)
            logits[chosen] = said
            context.progress("asking the teacher", min(start + BATCH, len(order)), context.train_rows)
    assert logits is not None
    return logits
