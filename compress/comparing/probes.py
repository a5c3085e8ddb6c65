"""Probes: batches at many lengths, of single rows and of mixed ones, for which a model's code may take other paths.

Some families pad, chunk or choose an algorithm by the length. A graph that was traced at one length may fail at
another length, or give other outputs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from compress.comparing.held_back import encoded, held_back_rows, model_positions
from compress.models.tokenizer import Tokenizer
from compress.tasks import Task

ALONE = 64
"""The most rows whose tokens are used for probes."""
WITHOUT_DATA = 512
"""The least tokens of the longest probe, if there is no data."""
SHORT = 8
"""Number of tokens below which some families cannot take a text at all."""

Batch = dict[str, np.ndarray[Any, Any]]


def longest_text(task: Task, tokenizer: Tokenizer) -> int:
    """The number of tokens of the longest text for a model: what the task keeps, or the model's positions."""
    positions = model_positions(tokenizer)
    if task.train or task.test:
        length = task.spec.max_length
    else:
        length = max(task.spec.max_length, WITHOUT_DATA if positions else 0)
    return min(length, positions or length)


def probes(task: Task, tokenizer: Tokenizer) -> list[Batch]:
    """Batches of real tokens: single rows of 1, 2, 3, 17, 33, 65, … and the most tokens; then several rows together.

    A row begins and ends as the tokenizer's own rows do, so that heads find the tokens that they read.
    """
    rows = encoded(task, held_back_rows(task, ALONE), tokenizer)
    most = longest_text(task, tokenizer)
    lengths = sorted({1, 2, 3, most, *(2**power + 1 for power in range(4, 14))} & set(range(1, most + 1)))
    single_rows = [_row(rows, length, place) for place, length in enumerate(lengths)]
    batches = [tokenizer.pad([row]) for row in single_rows]
    batches.append(tokenizer.pad([_row(rows, 1, place) for place in range(2)]))
    batches.append(tokenizer.pad([_row(rows, min(length, most), place) for place, length in enumerate((2, 19, 5))]))
    batches.append(tokenizer.pad([single_rows[-1], *single_rows[: min(3, len(single_rows) - 1)]]))
    return batches


def _row(rows: Sequence[dict[str, Any]], length: int, place: int) -> dict[str, list[int]]:
    """A row of `length` tokens, taken from the real rows; another `place` gives other tokens."""
    first, last = rows[0]["input_ids"][0], rows[0]["input_ids"][-1]
    ends = (first, last)  # heads that read an end token need the same number of them in each row
    inner = [token for row in rows for token in row["input_ids"] if token not in ends] or [first]
    start = 7 * place
    between = [inner[(start + step) % len(inner)] for step in range(max(length - 2, 0))]
    ids = [first, *between, last][-length:]
    return {"input_ids": ids, "attention_mask": [1] * length, "token_type_ids": [0] * length}
