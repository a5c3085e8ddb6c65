"""Batches that try a model where its code may take another path: at many lengths, alone and among rows unlike it.

Some families pad, chunk or choose an algorithm by the length; a graph that was traced at one length may fail at
another, or answer otherwise.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from compress.comparing.held_back import encoded, held_back_rows, model_positions
from compress.models.tokenizer import Tokenizer
from compress.tasks import Task

ALONE = 64
"""Rows whose tokens the probes are made of."""
WITHOUT_DATA = 512
"""Tokens of the longest probe at the least, where no task says what is long."""
SHORT = 8
"""Some families cannot take texts of fewer tokens at all."""

Batch = dict[str, np.ndarray[Any, Any]]


def longest(task: Task, tokenizer: Tokenizer) -> int:
    """Tokens of the longest text that a model will be given: what the task says, or its positions allow."""
    positions = model_positions(tokenizer)
    if task.train or task.test:
        asked = task.spec.max_length
    else:
        asked = max(task.spec.max_length, WITHOUT_DATA if positions else 0)
    return min(asked, positions or asked)


def probes(task: Task, tokenizer: Tokenizer) -> list[Batch]:
    """Batches of real tokens: rows of 1, 2, 3, 17, 33, 65, … and the most tokens alone, and of all of these together.

    A row begins and ends as the tokenizer's own rows do, so that heads find the tokens that they read.
    """
    rows = encoded(task, held_back_rows(task, ALONE), tokenizer)
    most = longest(task, tokenizer)
    lengths = sorted({1, 2, 3, most, *(2**power + 1 for power in range(4, 14))} & set(range(1, most + 1)))
    made = [_row(rows, length, place) for place, length in enumerate(lengths)]
    batches = [tokenizer.pad([row]) for row in made]
    batches.append(tokenizer.pad([_row(rows, 1, place) for place in range(2)]))
    batches.append(tokenizer.pad([_row(rows, min(length, most), place) for place, length in enumerate((2, 19, 5))]))
    batches.append(tokenizer.pad([made[-1], *made[: min(3, len(made) - 1)]]))
    return batches


def _row(rows: Sequence[dict[str, Any]], length: int, place: int) -> dict[str, list[int]]:
    """A row of so many tokens, out of those of the real rows, from another place on for each."""
    first, last = rows[0]["input_ids"][0], rows[0]["input_ids"][-1]
    ends = (first, last)  # heads that read an end token want as many of them in each row
    inner = [token for row in rows for token in row["input_ids"] if token not in ends] or [first]
    start = 7 * place
    between = [inner[(start + step) % len(inner)] for step in range(max(length - 2, 0))]
    ids = [first, *between, last][-length:]
    return {"input_ids": ids, "attention_mask": [1] * length, "token_type_ids": [0] * length}
