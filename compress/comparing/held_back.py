"""Held-back rows, which no training has seen: on them a changed model is compared with the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.answers import Answers
from compress.comparing.sample import sample_rows
from compress.errors import InputError
from compress.measurement import Estimate
from compress.models.architectures import positions_of
from compress.models.config_file import read_config
from compress.models.tokenizer import Tokenizer
from compress.ops.ragged import cut
from compress.runtimes import Predictor
from compress.tasks import Task, with_rows

ROWS = 512
"""The most held-back rows that are used."""
UNBOUNDED = 2**20
"""A number of tokens that no text reaches."""

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
"""The texts on which models are compared if there is no data."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class HeldBack:
    """Held-back rows one by one, as a deployed model gets them: validation rows, or training rows if there are none.

    Attributes:
        task: the task, which says what outputs mean.
        rows: the rows as the task has them.
        inputs: the model inputs of each row, (1, tokens), without padding.
        counted: for each row (1, tokens), 1 at the tokens that count; None if the row as a whole has an answer.
        truth: the right answers; None for built-in texts.
    """

    task: Task
    rows: Sequence[Any]
    inputs: Sequence[dict[str, Array]]
    counted: Sequence[Array | None]
    truth: Answers | None

    def outputs(self, predict: Predictor) -> list[Array]:
        """A model's outputs for each row: (classes,), or (tokens that count, classes)."""
        return [cut(predict(row), counted)[0] for row, counted in zip(self.inputs, self.counted, strict=True)]

    def drop(self, before: Sequence[Array], after: Sequence[Array]) -> Estimate | None:
        """The drop of the task's metric from the first outputs to the second, as a share; None without a truth."""
        if self.truth is None:
            return None
        answers_before, answers_after = (self.task.answers(outputs, self.rows) for outputs in (before, after))
        return answers_after.drop(answers_before, self.truth, self.task.spec.metric)

    def every(self, step: int) -> "HeldBack":
        """Every `step`-th row, without its right answer."""
        return HeldBack(self.task, self.rows[::step], self.inputs[::step], self.counted[::step], None)


def held_back_rows(task: Task, most: int = ROWS) -> list[Any]:
    """At most `most` held-back rows, drawn at random, and the same ones each time; none of them stands in test.

    They are validation rows, or training rows if no validation row is left.
    """
    return sample_rows(task, task.validation, most) or sample_rows(task, task.train, most)


def held_back(task: Task, tokenizer: Tokenizer, most: int = ROWS) -> HeldBack:
    """At most `most` held-back rows, encoded; the built-in texts if there are none."""
    real_rows = held_back_rows(task, most)
    rows = real_rows or built_in_rows(task)
    encoded_rows = encoded(task, real_rows, tokenizer)
    inputs = [tokenizer.pad([row]) for row in encoded_rows]
    counted = [np.array([row["counted"]]) if "counted" in row else None for row in encoded_rows]
    return HeldBack(task, rows, inputs, counted, task.truth(real_rows) if real_rows else None)


def built_in_rows(task: Task) -> list[Any]:
    """The built-in texts as rows of the task, without answers."""
    return task.without_answers(BUILT_IN_TEXTS, None)


def encoded(task: Task, rows: Sequence[Any], tokenizer: Tokenizer) -> Sequence[dict[str, Any]]:
    """The encoded rows; the encoded built-in texts if there are no rows."""
    if rows:
        return task.encode(rows, tokenizer)
    longest = min(task.spec.max_length, model_positions(tokenizer) or UNBOUNDED)
    return task.encode(built_in_rows(task), tokenizer, longest)


def model_positions(tokenizer: Tokenizer) -> int | None:
    """The number of positions of the model in a tokenizer's folder; None if its config does not say."""
    folder = tokenizer.path.parent
    return positions_of(read_config(folder)) if (folder / "config.json").is_file() else None


def split_held_back(task: Task) -> tuple[Task, Task]:
    """The task with one half of its held-back rows, to choose by, and with the other half, to measure the choice.

    The score of the best of many candidates is too high on the rows that chose it. The second half has at most `ROWS`
    rows, the first has all others. If there is only one row, both have it.

    Raises:
        InputError: there are no rows.
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
    """The outputs of all rows in one array: (rows, classes), or (tokens of all rows, classes)."""
    return np.concatenate([np.atleast_2d(row) for row in outputs])


def agreement(task: Task, rows: Sequence[Any], before: Sequence[Array], after: Sequence[Array]) -> float:
    """The share of answers in which two models agree; outputs that are not finite agree with nothing."""
    answers_before, answers_after = (task.answers(outputs, rows) for outputs in (before, after))
    same = np.array(answers_before.same(answers_after)) * [bool(np.isfinite(row).all()) for row in after]
    return float(same.mean())


def beyond_chance(task: Task, rows: Sequence[Any], before: Sequence[Array], after: Sequence[Array]) -> float | None:
    """The agreement beyond what chance would give, at most 1; None if the rows are too few to tell."""
    answers_before, answers_after = (task.answers(outputs, rows) for outputs in (before, after))
    return answers_before.beyond_chance(answers_after)
