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
from compress.training.masked import MaskedWords
from compress.training.neighbours import near_words

VARIANTS = "variants.jsonl"
CHUNK = 256
"""Rows between two reports of progress."""


def variants(
    rows: Sequence[Any],
    config: Augmentation,
    teacher: Artifact,
    masked_model: Artifact | None,
    length: int,
    context: Context,
    *,
    whole: int,
) -> Artifact:
    """The variants of all rows, one copy after the other, each in the rows' order.

    Args:
        masked_model: with a head for masked words, where these have a weight.
        length: tokens that a training sees of a text; a word is at least one, so no more words are kept.
        whole: rows of the run, also where this one only rehearses it.

    Returns:
        A by-product; `read_variants` reads it.
    """
    settings = {**config.model_dump(mode="json"), "max_length": length, "seed": context.seed}
    used = {"neighbours": ("teacher", teacher), "masked": ("masked_model", masked_model)}
    inputs = {role: model.key for way, (role, model) in used.items() if way in config.weights and model is not None}

    def make(out: Path) -> dict[str, Any]:
        texts, pairs = context.task.texts(rows)
        columns = [[words_of(text)[:length] for text in column] for column in (texts, pairs) if column is not None]
        near: Near = {}
        if "teacher" in inputs:
            words = {word for column in columns for words in column for word in words}
            near = _near_words(words, config, teacher, context)
        masked = None
        if "masked_model" in inputs and masked_model is not None:
            masked = MaskedWords(masked_model, length, config.nearest, context)
        with (out / VARIANTS).open("w", encoding="utf-8") as file:
            for copy in range(config.copies):
                for start in range(0, len(rows), CHUNK):
                    part = [column[start : start + CHUNK] for column in columns]
                    made = [
                        _vary(words, config, near, masked, [context.seed, copy, start, n])
                        for n, words in enumerate(part)
                    ]
                    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in zip(*made, strict=True))
                    context.progress("making variants", copy * len(rows) + start + len(part[0]), config.copies * whole)
        return {"rows": config.copies * len(rows), "words_with_neighbours": len(near)}

    return context.cached("variants", settings, inputs, make)


def _vary(
    texts: Sequence[list[str]], config: Augmentation, near: Near, masked: MaskedWords | None, seed: list[int]
) -> list[str]:
    """One variant of each text."""
    random = np.random.default_rng(seed)
    varied = [vary(words, config.share, config.weights, near, random) for words in texts]
    return [" ".join(words) for words in (masked.fill(varied, random) if masked else varied)]


def read_variants(made: Artifact, task: Task) -> list[Any]:
    """The rows that `variants` wrote."""
    with (made.path / VARIANTS).open(encoding="utf-8") as file:
        columns = [list(column) for column in zip(*map(json.loads, file), strict=True)]
    return task.without_answers(columns[0], columns[1] if len(columns) > 1 else None)


def _near_words(words: set[str], config: Augmentation, teacher: Artifact, context: Context) -> Near:
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    return near_words(model, load_tokenizer(teacher.path), words, config.nearest)
