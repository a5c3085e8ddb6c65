"""Random rows of a task on which models may be compared: none of them stands in test."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from compress.tasks import Task


def sample_rows(task: Task, rows: Sequence[Any], count: int, seed: int = 0) -> list[Any]:
    """At most `count` of the task's rows, in random order, since the first rows of a file may all have one label.

    Rows whose texts also stand in test are left out; it may be that none is left.
    """
    candidates = _apart_from_test(task, rows)
    order = np.random.default_rng(seed).permutation(len(candidates))[:count]
    return [candidates[int(index)] for index in order]


def _apart_from_test(task: Task, rows: Sequence[Any]) -> Sequence[Any]:
    """The rows whose texts do not also stand in test."""
    if not task.overlap or not rows:
        return rows
    test_contents = set(_contents(task, task.test))
    return [row for row, content in zip(rows, _contents(task, rows), strict=True) if content not in test_contents]


def _contents(task: Task, rows: Sequence[Any]) -> list[tuple[str, str]]:
    """The text and the second text of each row, without white space around them."""
    texts, pairs = task.texts(rows)
    return [(text.strip(), pair.strip()) for text, pair in zip(texts, pairs or [""] * len(texts), strict=True)]
