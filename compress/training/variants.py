"""New variants of the rows, made once and kept in the store; the teacher says what they are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compress.context import Context
from compress.data.augmentation import Near, vary, words_of
from compress.models.load import load_model
from compress.models.tokenizer import load_tokenizer
from compress.store import Artifact
from compress.tasks import Task
from compress.training.config import Augmentation
from compress.training.neighbours import near_words

VARIANTS = "variants.jsonl"
TOLD_EVERY = 256
"""Rows between two reports of progress."""


def variants(
    rows: Sequence[Any], config: Augmentation, teacher: Artifact, length: int, context: Context, *, whole: int
) -> Artifact:
    """The variants of all rows, one copy after the other, each in the rows' order.

    Args:
        length: tokens that a training sees of a text; a word is at least one, so no more words are kept.
        whole: rows of the run, also where this one only rehearses it.

    Returns:
        A by-product; `read_variants` reads it.
    """
    needs_teacher = "neighbours" in config.weights
    settings = {**config.model_dump(mode="json"), "max_length": length, "seed": context.seed}

    def make(out: Path) -> dict[str, Any]:
        texts, pairs = context.task.texts(rows)
        columns = [[words_of(text)[:length] for text in column] for column in (texts, pairs) if column is not None]
        near: Near = {}
        if needs_teacher:
            near = _near_words(
                {word for column in columns for words in column for word in words}, config, teacher, context
            )
        with (out / VARIANTS).open("w", encoding="utf-8") as file:
            for copy in range(config.copies):
                for index in range(len(rows)):
                    random = np.random.default_rng([context.seed, copy, index])
                    made = [" ".join(vary(c[index], config.share, config.weights, near, random)) for c in columns]
                    file.write(json.dumps(made, ensure_ascii=False) + "\n")
                    done = copy * len(rows) + index + 1
                    if done % TOLD_EVERY == 0 or done == config.copies * len(rows):
                        context.progress("making variants", done, config.copies * whole)
        return {"rows": config.copies * len(rows), "words_with_neighbours": len(near)}

    inputs = {"teacher": teacher.key} if needs_teacher else {}
    return context.cached("variants", settings, inputs, make)


def read_variants(made: Artifact, task: Task) -> list[Any]:
    """The rows that `variants` wrote."""
    with (made.path / VARIANTS).open(encoding="utf-8") as file:
        columns = [list(column) for column in zip(*map(json.loads, file), strict=True)]
    return task.without_answers(columns[0], columns[1] if len(columns) > 1 else None)


def _near_words(words: set[str], config: Augmentation, teacher: Artifact, context: Context) -> Near:
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    return near_words(model, load_tokenizer(teacher.path), words, config.nearest)
