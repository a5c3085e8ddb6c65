"""Training under a teacher.

What the teacher says of the rows is computed once, kept in the store, and shared by all steps that want it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compress.context import Context
from compress.models.tokenizer import Tokenizer
from compress.store import Artifact
from compress.training.asking import ask
from compress.training.config import DistillationConfig
from compress.training.loop import Lesson, train, training_length
from compress.training.objective import Objective
from compress.training.variants import read_variants, variants

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
    """The teacher's outputs of rows, in the rows' order; see `compress.training.asking.ask`.

    Args:
        made: the by-product that holds the rows; None for the task's own.

    Returns:
        (rows, classes) of float32, mapped from a file: only the rows that are read come into memory.
    """

    def make(out: Path) -> dict[str, Any]:
        return ask(teacher, rows, length, context, out / LOGITS, what=what, whole=whole)

    inputs = {"teacher": teacher.key} | ({"rows": made.key} if made else {})
    kept = context.cached("teacher_logits", {"max_length": length}, inputs, make)
    logits: np.ndarray[Any, Any] = np.load(kept.path / LOGITS, mmap_mode="r", allow_pickle=False)
    return logits
