"""New variants of the rows, made once and kept in the store; the teacher says what they are."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compress.context import Context
from compress.data.augmentation import Near, mix, vary, words_of
from compress.models.load import load_model
from compress.models.tokenizer import load_tokenizer
from compress.store.artifacts import Artifact
from compress.tasks import UNKNOWN, Task
from compress.training.config import Augmentation
from compress.training.masked import MaskedWords
from compress.training.neighbours import near_words

VARIANTS = "variants.jsonl"
CHUNK = 256
"""Rows between two reports of progress."""
MOST_COPIES = 100
"""Of one row, where its label is rare."""


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

    Of rows whose label is rare, `config.per_label` makes more copies; these stand at the end.

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
        # without a number of rows for each label, labels say nothing; then a row may also have one for each token
        labels = context.task.truth(rows).content if config.per_label else [UNKNOWN] * len(rows)
        wanted = copies_of(labels, config.copies, config.per_label)
        count, done = sum(wanted), 0
        with (out / VARIANTS).open("w", encoding="utf-8") as file:
            for part, others, seed in _parts(wanted, labels, config, context.seed):
                made = [
                    _vary(column, list(zip(part, others, strict=True)), config, near, masked, [*seed, n])
                    for n, column in enumerate(columns)
                ]
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in zip(*made, strict=True))
                done += len(part)
                context.progress("making variants", done, round(count * whole / len(rows)))
        return {"rows": count, "words_with_neighbours": len(near)}

    return context.cached("variants", settings, inputs, make)


def _parts(
    wanted: Sequence[int], labels: Sequence[Any], config: Augmentation, seed: int
) -> Iterator[tuple[list[int], Sequence[Any], list[int]]]:
    """Rows that are varied at once, the rows that each is mixed with, and a seed of their own.

    Args:
        wanted: copies of each row.
        labels: of each row.
    """
    for copy in range(max(wanted)):
        chosen = [row for row, copies in enumerate(wanted) if copies > copy]
        for start in range(0, len(chosen), CHUNK):
            part = chosen[start : start + CHUNK]
            own = [seed, copy, start]
            yield part, partners(labels, len(part), config.mix, own, balanced=config.per_label > 0), own


def copies_of(labels: Sequence[int], copies: int, per_label: int) -> list[int]:
    """How many variants each row gets: `copies`, or more where its label would have fewer rows than `per_label`.

    Args:
        labels: of each row; `UNKNOWN` for those without.
    """
    rows = Counter(labels)
    return [
        copies if label == UNKNOWN else max(copies, min(math.ceil(per_label / rows[label]) - 1, MOST_COPIES))
        for label in labels
    ]


def partners(
    labels: Sequence[int], count: int, share: float, seed: Sequence[int], *, balanced: bool
) -> list[int | None]:
    """For each of `count` variants the row that is mixed into it, if one is: a share of them gets one.

    Args:
        labels: of the rows that are drawn from.
        balanced: each label is drawn as often, not each row.
    """
    random = np.random.default_rng([*seed, 1 << 16])
    mixed = random.random(count) < share
    if balanced:
        rows = Counter(labels)
        odds = np.array([1 / rows[label] for label in labels])
        drawn = random.choice(len(labels), size=count, p=odds / odds.sum())
    else:
        drawn = random.integers(len(labels), size=count)
    return [int(row) if chosen else None for row, chosen in zip(drawn, mixed, strict=True)]


def _vary(
    texts: Sequence[list[str]],
    chosen: Sequence[tuple[int, int | None]],
    config: Augmentation,
    near: Near,
    masked: MaskedWords | None,
    seed: list[int],
) -> list[str]:
    """One variant of each of the texts chosen.

    Args:
        chosen: which, and which text is mixed in, if any.
    """
    random = np.random.default_rng(seed)
    mixed = [texts[row] if other is None else mix(texts[row], texts[other], random) for row, other in chosen]
    varied = [vary(words, config.share, config.weights, near, random) for words in mixed]
    return [" ".join(words) for words in (masked.fill(varied, random) if masked else varied)]


def read_variants(made: Artifact, task: Task) -> list[Any]:
    """The rows that `variants` wrote."""
    with (made.path / VARIANTS).open(encoding="utf-8") as file:
        columns = [list(column) for column in zip(*map(json.loads, file), strict=True)]
    return task.without_answers(columns[0], columns[1] if len(columns) > 1 else None)


def _near_words(words: set[str], config: Augmentation, teacher: Artifact, context: Context) -> Near:
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    return near_words(model, load_tokenizer(teacher.path), words, config.nearest)
