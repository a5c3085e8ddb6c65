"""Rows of a task at random, on which models are looked at: none of them stands in test."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from compress.tasks import Task


def drawn(task: Task, rows: Sequence[Any], count: int, seed: int = 0) -> list[Any]:
    """At most so many of the task's rows, in random order: the first of a file may all have the same label.

    Rows whose texts also stand in test are left out, where a recipe allows them; it may be that none is left.
    """
    apart = _apart_from_test(task, rows)
    chosen = np.random.default_rng(seed).permutation(len(apart))[:count]
    return [apart[int(index)] for index in chosen]


def _apart_from_test(task: Task, rows: Sequence[Any]) -> Sequence[Any]:
    """The rows whose texts do not stand in test."""
    if not task.overlap or not rows:
        return rows
    tested = set(_contents(task, task.test))
    return [row for row, said in zip(rows, _contents(task, rows), strict=True) if said not in tested]


def _contents(task: Task, rows: Sequence[Any]) -> list[tuple[str, str]]:
    """Both texts of each row, without white space around them."""
    texts, pairs = task.texts(rows)
    return [(text.strip(), pair.strip()) for text, pair in zip(texts, pairs or [""] * len(texts), strict=True)]
