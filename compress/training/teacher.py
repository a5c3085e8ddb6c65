"""Training under a teacher.

What the teacher says of the rows is computed once, kept in the store, and shared by all steps that want it.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from compress.context import Context
from compress.models.load import load_model
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.store import Artifact
from compress.training.config import DistillationConfig
from compress.training.loop import Lesson, train, training_length
from compress.training.objective import Objective
from compress.training.rows import EncodedRows
from compress.training.variants import read_variants, variants

BATCH = 32
LOGITS = "logits.npy"


def train_under_teacher(
    student: Any,
    tokenizer: Tokenizer,
    teacher: Artifact,
    config: DistillationConfig,
    context: Context,
    *,
    what: str,
) -> dict[str, Any]:
    """Train `student` in place on the teacher's outputs and the labels; see `compress.training.loop.train`.

    Without a weight for what the teacher says, it is not asked, and only the labelled rows are trained on.
    """
    lesson = _lesson(teacher, config, context)
    return train(student, tokenizer, config, context, what=what, lesson=lesson)


def _lesson(teacher: Artifact, config: DistillationConfig, context: Context) -> Lesson:
    """The rows to learn from, with what the teacher says of them."""
    task, objective = context.task, Objective(config)
    if not config.asks_teacher:
        return Lesson(task.train, (), objective, context.train_rows)
    rows = [*task.train, *task.unlabelled]
    whole = context.train_rows + context.unlabelled_rows
    length = training_length(config.train_length, context)
    parts = [teacher_logits(teacher, rows, length, context, what="asking the teacher", whole=whole)]
    if config.augment.copies:
        made = variants(rows, config.augment, teacher, length, context, whole=whole)
        new = read_variants(made, task)
        what = "asking the teacher about variants"
        more = whole * config.augment.copies
        parts.append(teacher_logits(teacher, new, length, context, what=what, whole=more, made=made))
        rows += new
        whole += more
    return Lesson(rows, [parts], objective, whole)


def teacher_logits(
    teacher: Artifact,
    rows: Sequence[Any],
    length: int,
    context: Context,
    *,
    what: str,
    whole: int,
    made: Artifact | None = None,
) -> np.ndarray[Any, Any]:
    """The teacher's outputs of rows, in the rows' order.

    Args:
        length: tokens kept of each text.
        what: name of the work, for the progress bar.
        whole: rows of the run, also where this one only rehearses it.
        made: the by-product that holds the rows; None for the task's own.

    Returns:
        (rows, classes) of float32, mapped from a file: only the rows that are read come into memory.
    """

    def make(out: Path) -> dict[str, Any]:
        _compute(teacher, rows, length, context, out / LOGITS, what, whole)
        return {"rows": len(rows)}

    inputs = {"teacher": teacher.key} | ({"rows": made.key} if made else {})
    kept = context.cached("teacher_logits", {"max_length": length}, inputs, make)
    logits: np.ndarray[Any, Any] = np.load(kept.path / LOGITS, mmap_mode="r", allow_pickle=False)
    return logits


def _compute(
    teacher: Artifact, rows: Sequence[Any], length: int, context: Context, path: Path, what: str, whole: int
) -> None:
    """Write what the teacher says of the rows, asked for in batches of like length."""
    tokenizer = load_tokenizer(teacher.path)
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code).to(
        context.device
    )
    accepted = set(inspect.signature(model.forward).parameters)
    encoded = EncodedRows(rows, context.task, tokenizer, length)
    order = sorted(range(len(rows)), key=lambda index: encoded.lengths[index])
    logits = open_memmap(path, mode="w+", dtype=np.float32, shape=(len(rows), model.config.num_labels))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            batch = tokenizer.pad([encoded[index] for index in chosen])
            inputs = {
                name: torch.from_numpy(array).to(context.device) for name, array in batch.items() if name in accepted
            }
            logits[chosen] = model(**inputs).logits.float().cpu().numpy()  # (batch, classes)
            context.progress(what, start + len(chosen), whole)
    logits.flush()
