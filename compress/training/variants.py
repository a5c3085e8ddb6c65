"""New variants of the rows, made once and kept in the store; the teacher's outputs are their labels."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from compress.context import Context
from compress.data.augmentation import Near, cut_part, mix, splice, vary, words_of
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


class Source(NamedTuple):
    """What a variant is made of.

    Attributes:
        row: number of the row that is varied.
        cut: how it is cut: a way of `Augmentation.cuts`; None leaves it whole.
        other: number of the row that it is joined with, by the ways that join two.
        is_unchanged: whether its words stay as they are after the cut.
    """

    row: int
    cut: str | None
    other: int
    is_unchanged: bool


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

    With `config.per_label`, rows whose label is rare get more copies; these stand at the end. A variant with the words
    of a test row, as a part of a text can have, is left out.

    Args:
        masked_model: a model with a head for masked words, if the way `masked` has a weight.
        length: number of tokens that a training keeps of a text. A word has at least one token, so no more words are
            kept.
        run_rows: number of rows in the full run, also in a rehearsal with fewer.

    Returns:
        The by-product that `read_variants` reads. Its facts hold the number of `rows`, and of those `in_test` that
        were left out.
    """
    task = context.task
    settings = {**config.model_dump(mode="json"), "max_length": length, "seed": context.seed, "test": task.test_key}
    used = {"neighbours": ("teacher", teacher), "masked": ("masked_model", masked_model)}
    inputs = {role: model.key for way, (role, model) in used.items() if way in config.weights and model is not None}

    def make(out: Path) -> dict[str, Any]:
        columns = _columns(rows, length, task)
        test_rows = set(zip(*(map(" ".join, column) for column in _columns(task.test, length, task)), strict=True))
        near: Near = {}
        if "teacher" in inputs:
            words = {word for column in columns for words in column for word in words}
            near = _near_words(words, config, teacher, context)
        masked = None
        if "masked_model" in inputs and masked_model is not None:
            masked = MaskedWords(masked_model, length, config.nearest, context)
        # labels are needed only for per_label; without it a row may also have a label for each token
        labels = task.truth(rows).content if config.per_label else [UNKNOWN] * len(rows)
        copies_per_row = copies_of(labels, config.copies, config.per_label)
        count, done, in_test = sum(copies_per_row), 0, 0
        with (out / VARIANTS).open("w", encoding="utf-8") as file:
            for sources, seed in _chunks(copies_per_row, labels, config, context.seed):
                new_columns = [
                    _vary(column, sources, config, near, masked, [*seed, n]) for n, column in enumerate(columns)
                ]
                new_rows = [row for row in zip(*new_columns, strict=True) if row not in test_rows]
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in new_rows)
                done += len(sources)
                in_test += len(sources) - len(new_rows)
                context.progress("making variants", done, round(count * run_rows / len(rows)))
        return {"rows": count - in_test, "in_test": in_test, "words_with_neighbours": len(near)}

    return context.cached("variants", settings, inputs, make)


def _columns(rows: Sequence[Any], length: int, task: Task) -> list[list[list[str]]]:
    """The words of the rows' texts, and of their second texts if they are pairs, as many as a training keeps."""
    return [[words_of(text)[:length] for text in column] for column in task.texts(rows) if column is not None]


def _chunks(
    copies_per_row: Sequence[int], labels: Sequence[Any], config: Augmentation, seed: int
) -> Iterator[tuple[list[Source], list[int]]]:
    """The sources of variants that are made together, and a seed for them.

    Args:
        copies_per_row: number of variants of each row.
        labels: the label of each row.
    """
    for copy in range(max(copies_per_row)):
        varied_rows = [row for row, copies in enumerate(copies_per_row) if copies > copy]
        for start in range(0, len(varied_rows), CHUNK):
            chunk = varied_rows[start : start + CHUNK]
            chunk_seed = [seed, copy, start]
            yield sources_of(chunk, labels, config, chunk_seed), chunk_seed


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


def sources_of(rows: Sequence[int], labels: Sequence[int], config: Augmentation, seed: Sequence[int]) -> list[Source]:
    """What a variant of each of these rows is made of.

    With `config.per_label` the other rows are drawn so that each label is as frequent, else each row.

    Args:
        rows: numbers of the rows that are varied.
        labels: the labels of all rows, which the other rows are drawn from.
    """
    random = np.random.default_rng([*seed, 1 << 16])
    drawn = random.random(len(rows))
    ends = np.cumsum(list(config.cuts.values()))
    cuts = [*config.cuts, None]
    if config.per_label:
        counts = Counter(labels)
        odds = np.array([1 / counts[label] for label in labels])
        others = random.choice(len(labels), size=len(rows), p=odds / odds.sum())
    else:
        others = random.integers(len(labels), size=len(rows))
    kinds = [cuts[place] for place in np.searchsorted(ends, drawn, side="right")]
    unchanged = random.random(len(rows)) < config.unchanged
    return [
        Source(row, kind, int(other), kind is not None and bool(is_unchanged))
        for row, kind, other, is_unchanged in zip(rows, kinds, others, unchanged, strict=True)
    ]


def _vary(
    texts: Sequence[list[str]],
    sources: Sequence[Source],
    config: Augmentation,
    near: Near,
    masked: MaskedWords | None,
    seed: list[int],
) -> list[str]:
    """One variant of each source."""
    random = np.random.default_rng(seed)
    cut_texts = [_cut(texts, source, random) for source in sources]
    varied = [
        list(words) if source.is_unchanged else vary(words, config.share, config.weights, near, random)
        for source, words in zip(sources, cut_texts, strict=True)
    ]
    return [" ".join(words) for words in (masked.fill(varied, random) if masked else varied)]


def _cut(texts: Sequence[list[str]], source: Source, random: np.random.Generator) -> Sequence[str]:
    """The words of a source, cut and joined, before any of them is changed."""
    words, other = texts[source.row], texts[source.other]
    if source.cut == "parts":
        return cut_part(words, random)
    if source.cut is None:
        return words
    return {"mix": mix, "splice": splice}[source.cut](words, other, random)


def read_variants(artifact: Artifact, task: Task) -> list[Any]:
    """The rows that `variants` wrote."""
    with (artifact.path / VARIANTS).open(encoding="utf-8") as file:
        columns = [list(column) for column in zip(*map(json.loads, file), strict=True)]
    if not columns:
        return []
    return task.without_answers(columns[0], columns[1] if len(columns) > 1 else None)


def _near_words(words: set[str], config: Augmentation, teacher: Artifact, context: Context) -> Near:
    """The nearest words of each word in the teacher's table of embeddings."""
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    return near_words(model, load_tokenizer(teacher.path), words, config.nearest)
