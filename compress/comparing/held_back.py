"""Rows that no training has seen, on which a changed model is held against the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.comparing.drawn import drawn
from compress.errors import InputError
from compress.measurement import Estimate
from compress.models.architectures import positions_of
from compress.models.config_file import read_config
from compress.models.tokenizer import Tokenizer
from compress.runtimes import Predictor
from compress.tasks import Task, with_rows

ROWS = 512
"""Looked at, at most."""
UNBOUNDED = 2**20
"""Tokens that no text has."""
FEW = 10
"""Rows of other classes than the commonest; of fewer, agreement beyond chance is not told."""

BUILT_IN_TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Shares of the company rose 3.5% after it reported higher quarterly earnings than analysts had expected.",
    "I did not like this film at all; two hours of my life that nobody will give back to me.",
    "Yes.",
    "The ministry said on Tuesday that wheat exports would fall by a tenth, because rain delayed the harvest.",
    "How do I reset my password if I no longer have the phone number that I signed up with?",
    "Great value for the money, fast delivery, and the battery lasts for days! Would buy again.",
    "In 1969, after eight years of work by some 400,000 people, two of them walked on the Moon.",
)
"""What is compared where no data is at hand."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class HeldBack:
    """Validation rows (training rows, where there are none), one by one, as a deployed model is asked.

    Attributes:
        task: scores what is said of them.
        inputs: of each row, (1, tokens), without padding.
        truth: (rows,) right answers; None for built-in texts.
    """

    task: Task
    inputs: list[dict[str, Array]]
    truth: list[int] | None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.inputs)

    def outputs(self, predict: Predictor) -> Array:
        """(rows, classes) of a model."""
        return np.concatenate([predict(row) for row in self.inputs])

    def drop(self, before: Array, after: Array) -> Estimate | None:
        """What the second outputs lose of the task's metric against the first, as a share; None without answers."""
        from compress.ops.statistics import metric_drop  # takes a second to import

        if self.truth is None:
            return None
        said, says = (np.array(self.task.predict(logits)[0]) for logits in (before, after))
        return metric_drop(self.task.spec.metric, said, says, np.array(self.truth))


def held_back_rows(task: Task, most: int = ROWS) -> list[Any]:
    """At most so many, drawn at random, and the same ones each time; none of them stands in test.

    Training rows where no validation row is left.
    """
    return drawn(task, task.validation, most) or drawn(task, task.train, most)


def held_back(task: Task, tokenizer: Tokenizer, most: int = ROWS) -> HeldBack:
    """At most so many, encoded."""
    rows = held_back_rows(task, most)
    inputs = [tokenizer.pad([row]) for row in encoded(task, rows, tokenizer)]
    return HeldBack(task, inputs, task.truth(rows) if rows else None)


def encoded(task: Task, rows: Sequence[Any], tokenizer: Tokenizer) -> Sequence[dict[str, Any]]:
    """The rows as a model reads them; the built-in texts where there are none."""
    if rows:
        return task.encode(rows, tokenizer)
    return tokenizer.encode(BUILT_IN_TEXTS, None, min(task.spec.max_length, model_positions(tokenizer) or UNBOUNDED))


def model_positions(tokenizer: Tokenizer) -> int | None:
    """Most tokens that the model beside a tokenizer can tell apart by their place; None where it does not say."""
    folder = tokenizer.path.parent
    return positions_of(read_config(folder)) if (folder / "config.json").is_file() else None


def parted(task: Task) -> tuple[Task, Task]:
    """The task with one half of its held-back rows, to choose by, and with the other half, to say what was chosen.

    A choice out of many is flattered by the rows that it was made on. The second half has `ROWS` rows at the most, the
    first has all others. Of one row both have it.

    Raises:
        InputError: there is none.
    """
    rows = held_back_rows(task, len(task.validation) + len(task.train))
    if not rows:
        raise InputError(
            "there are no rows to choose by that do not stand in test",
            fix="give validation rows, or test rows of their own",
        )
    half = min(len(rows) // 2, ROWS)
    if not half:
        return task, task
    return with_rows(task, validation=rows[half:]), with_rows(task, validation=rows[:half])


def built_in_batches(tokenizer: Tokenizer, max_length: int) -> list[dict[str, Array]]:
    """The built-in texts, padded."""
    return [tokenizer.pad(tokenizer.encode(BUILT_IN_TEXTS, None, max_length))]


def agreement(before: Array, after: Array) -> float:
    """Share of rows with the same best class, of outputs that are numbers; both (rows, classes)."""
    same = (before.argmax(-1) == after.argmax(-1)) & np.isfinite(after).all(-1)
    return float(same.mean())


def beyond_chance(before: Array, after: Array) -> float | None:
    """Agreement of the best classes beyond what chance would give: Cohen's kappa (Cohen 1960), at most 1.

    Where most rows have one class, a model that always says so agrees on most rows, and has a kappa of 0.

    Args:
        before, after: (rows, classes) logits.

    Returns:
        None where less than `FEW` rows have another class than the commonest, before: so few cannot tell.
    """
    said, says = (np.bincount(logits.argmax(-1), minlength=logits.shape[-1]) for logits in (before, after))
    if len(before) - said.max() < FEW:
        return None
    chance = float(said @ says) / len(before) ** 2
    same = float((before.argmax(-1) == after.argmax(-1)).mean())
    return (same - chance) / (1 - chance)
