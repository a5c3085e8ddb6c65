"""New variants of the rows, made once and kept in the store; the teacher's outputs are their labels."""

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
"""Number of rows between two reports of progress."""
MOST_COPIES = 100
"""The most copies of one row whose label is rare."""


def variants(
    rows: Sequence[Any],
    config: Augmentation,
    teacher: Artifact,
    masked_model: Artifact | None,
    length: int,
    context: Context,
    *,
    run_rows: int,
) -> Artifact:
    """The variants of all rows, one copy after the other, each in the rows' order.

    With `config.per_label`, rows whose label is rare get more copies; these stand at the end.

    Args:
        masked_model: a model with a head for masked words, if the way `masked` has a weight.
        length: number of tokens that a training keeps of a text. A word has at least one token, so no more words are
            kept.
        run_rows: number of rows in the full run, also in a rehearsal with fewer.

    Returns:
        The by-product that `read_variants` reads.
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
        # labels are needed only for per_label; without it a row may also have a label for each token
        labels = context.task.truth(rows).content if config.per_label else [UNKNOWN] * len(rows)
        copies_per_row = copies_of(labels, config.copies, config.per_label)
        count, done = sum(copies_per_row), 0
        with (out / VARIANTS).open("w", encoding="utf-8") as file:
            for part, others, seed in _parts(copies_per_row, labels, config, context.seed):
                columns_of_part = [
                    _vary(column, list(zip(part, others, strict=True)), config, near, masked, [*seed, n])
                    for n, column in enumerate(columns)
                ]
                file.writelines(
                    json.dumps(row, ensure_ascii=False) + "\n" for row in zip(*columns_of_part, strict=True)
                )
                done += len(part)
                context.progress("making variants", done, round(count * run_rows / len(rows)))
        return {"rows": count, "words_with_neighbours": len(near)}

    return context.cached("variants", settings, inputs, make)


def _parts(
    copies_per_row: Sequence[int], labels: Sequence[Any], config: Augmentation, seed: int
) -> Iterator[tuple[list[int], Sequence[Any], list[int]]]:
    """Parts of the work: rows that are varied together, the row that each is mixed with, and a seed for the part.

    Args:
        copies_per_row: number of variants of each row.
        labels: the label of each row.
    """
    for copy in range(max(copies_per_row)):
        varied_rows = [row for row, copies in enumerate(copies_per_row) if copies > copy]
        for start in range(0, len(varied_rows), CHUNK):
            part = varied_rows[start : start + CHUNK]
            own = [seed, copy, start]
            yield part, partners(labels, len(part), config.mix, own, balanced=config.per_label > 0), own


def copies_of(labels: Sequence[int], copies: int, per_label: int) -> list[int]:
    """The number of variants of each row: `copies`, or more if its label has fewer rows than `per_label`.

    Args:
        labels: the label of each row; `UNKNOWN` for a row without one.
    """
    rows = Counter(labels)
    return [
        copies if label == UNKNOWN else max(copies, min(math.ceil(per_label / rows[label]) - 1, MOST_COPIES))
        for label in labels
    ]


def partners(
    labels: Sequence[int], count: int, share: float, seed: Sequence[int], *, balanced: bool
) -> list[int | None]:
    """For each of `count` variants the row that is mixed into it, or None; a `share` of the variants gets one.

    Args:
        labels: the labels of the rows to draw from.
        balanced: draw each label equally often, instead of each row.
    """
    random = np.random.default_rng([*seed, 1 << 16])
    mixed = random.random(count) < share
    if balanced:
        rows = Counter(labels)
        odds = np.array([1 / rows[label] for label in labels])
        drawn = random.choice(len(labels), size=count, p=odds / odds.sum())
    else:
        drawn = random.integers(len(labels), size=count)
    return [int(row) if is_mixed else None for row, is_mixed in zip(drawn, mixed, strict=True)]


def _vary(
    texts: Sequence[list[str]],
    sources: Sequence[tuple[int, int | None]],
    config: Augmentation,
    near: Near,
    masked: MaskedWords | None,
    seed: list[int],
) -> list[str]:
    """One variant of each source.

    Args:
        sources: for each variant the number of its text, and the number of the text to mix in, if any.
    """
    random = np.random.default_rng(seed)
    mixed = [texts[row] if other is None else mix(texts[row], texts[other], random) for row, other in sources]
    varied = [vary(words, config.share, config.weights, near, random) for words in mixed]
    return [" ".join(words) for words in (masked.fill(varied, random) if masked else varied)]


def read_variants(artifact: Artifact, task: Task) -> list[Any]:
    """The rows that `variants` wrote."""
    with (artifact.path / VARIANTS).open(encoding="utf-8") as file:
        columns = [list(column) for column in zip(*map(json.loads, file), strict=True)]
    return task.without_answers(columns[0], columns[1] if len(columns) > 1 else None)


def _near_words(words: set[str], config: Augmentation, teacher: Artifact, context: Context) -> Near:
    """The nearest words of each word in the teacher's table of embeddings."""
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    return near_words(model, load_tokenizer(teacher.path), words, config.nearest)
