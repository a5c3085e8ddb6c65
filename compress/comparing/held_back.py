"""Rows that no training has seen, on which a changed model is held against the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.answers import Answers
from compress.comparing.drawn import drawn
from compress.errors import InputError
from compress.measurement import Estimate
from compress.models.architectures import positions_of
from compress.models.config_file import read_config
from compress.models.tokenizer import Tokenizer
from compress.ops.ragged import cut
from compress.runtimes import Predictor
from compress.tasks import Task, with_rows

ROWS = 512
"""Looked at, at most."""
UNBOUNDED = 2**20
"""Tokens that no text has."""

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
        task: says what outputs mean.
        rows: as the task has them.
        inputs: of each row, (1, tokens), without padding.
        counted: of each row, (1, tokens), 1 at the tokens that are asked of; None where a whole row is.
        truth: the right answers; None for built-in texts.
    """

    task: Task
    rows: Sequence[Any]
    inputs: Sequence[dict[str, Array]]
    counted: Sequence[Array | None]
    truth: Answers | None

    def outputs(self, predict: Predictor) -> list[Array]:
        """What a model gives for each row: (classes,), or (tokens that count, classes)."""
        return [cut(predict(row), counted)[0] for row, counted in zip(self.inputs, self.counted, strict=True)]

    def drop(self, before: Sequence[Array], after: Sequence[Array]) -> Estimate | None:
        """What the second outputs lose of the task's metric against the first, as a share; None without answers."""
        if self.truth is None:
            return None
        said, says = (self.task.answers(outputs, self.rows) for outputs in (before, after))
        return says.drop(said, self.truth, self.task.spec.metric)

    def every(self, step: int) -> "HeldBack":
        """Each so many of the rows, without their answers."""
        return HeldBack(self.task, self.rows[::step], self.inputs[::step], self.counted[::step], None)


def held_back_rows(task: Task, most: int = ROWS) -> list[Any]:
    """At most so many, drawn at random, and the same ones each time; none of them stands in test.

    Training rows where no validation row is left.
    """
    return drawn(task, task.validation, most) or drawn(task, task.train, most)


def held_back(task: Task, tokenizer: Tokenizer, most: int = ROWS) -> HeldBack:
    """At most so many, encoded; the built-in texts where there are none."""
    known = held_back_rows(task, most)
    rows = known or built_in_rows(task)
    read = encoded(task, known, tokenizer)
    inputs = [tokenizer.pad([row]) for row in read]
    counted = [np.array([row["counted"]]) if "counted" in row else None for row in read]
    return HeldBack(task, rows, inputs, counted, task.truth(known) if known else None)


def built_in_rows(task: Task) -> list[Any]:
    """The built-in texts as rows of the task, without answers."""
    return task.without_answers(BUILT_IN_TEXTS, None)


def encoded(task: Task, rows: Sequence[Any], tokenizer: Tokenizer) -> Sequence[dict[str, Any]]:
    """The rows as a model reads them; the built-in texts where there are none."""
    if rows:
        return task.encode(rows, tokenizer)
    longest = min(task.spec.max_length, model_positions(tokenizer) or UNBOUNDED)
    return task.encode(built_in_rows(task), tokenizer, longest)


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


def flat(outputs: Sequence[Array]) -> Array:
    """Outputs of rows one below the other: (rows, classes), or (tokens of all rows, classes)."""
    return np.concatenate([np.atleast_2d(row) for row in outputs])


def agreement(task: Task, rows: Sequence[Any], before: Sequence[Array], after: Sequence[Array]) -> float:
    """How far two models say the same of rows, as a share; outputs that are no numbers say nothing."""
    said, says = (task.answers(outputs, rows) for outputs in (before, after))
    same = np.array(said.same(says)) * [bool(np.isfinite(row).all()) for row in after]
    return float(same.mean())


def beyond_chance(task: Task, rows: Sequence[Any], before: Sequence[Array], after: Sequence[Array]) -> float | None:
    """The same beyond what chance would give, at most 1; None where so few rows cannot tell."""
    said, says = (task.answers(outputs, rows) for outputs in (before, after))
    return said.beyond_chance(says)
