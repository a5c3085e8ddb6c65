"""Rows that no training has seen, on which a changed model is held against the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.measurement import Estimate
from compress.models.tokenizer import Tokenizer
from compress.runtimes import Predictor
from compress.tasks import Task

ROWS = 512
"""Looked at, at most."""
BATCH = 8

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
    """Validation rows (training rows, where there are none) in batches of like length.

    Attributes:
        task: scores what is said of them.
        batches: padded, together all rows.
        truth: (rows,) right answers, in the order of the batches; None for built-in texts.
    """

    task: Task
    batches: list[dict[str, Array]]
    truth: list[int] | None

    @property
    def rows(self) -> int:
        """How many."""
        return sum(len(batch["input_ids"]) for batch in self.batches)

    def single_rows(self) -> list[dict[str, Array]]:
        """The rows one by one, without padding."""
        found = []
        for batch in self.batches:
            for index, length in enumerate(batch["attention_mask"].sum(1)):
                found.append({name: array[index : index + 1, :length] for name, array in batch.items()})
        return found

    def outputs(self, predict: Predictor) -> Array:
        """(rows, classes) of a model."""
        return np.concatenate([predict(batch) for batch in self.batches])

    def drop(self, before: Array, after: Array) -> Estimate | None:
        """What the second outputs lose of the task's metric against the first, as a share; None without answers."""
        from compress.ops.statistics import metric_drop  # takes a second to import

        if self.truth is None:
            return None
        said, says = (np.array(self.task.predict(logits)[0]) for logits in (before, after))
        return metric_drop(self.task.spec.metric, said, says, np.array(self.truth))


def held_back_rows(task: Task, most: int = ROWS) -> list[Any]:
    """At most so many, as they are read."""
    return list(task.validation or task.train)[:most]


def held_back(task: Task, tokenizer: Tokenizer, most: int = ROWS) -> HeldBack:
    """At most so many, encoded."""
    rows = held_back_rows(task, most)
    if rows:
        encoded: Sequence[dict[str, Any]] = task.encode(rows, tokenizer)
        truth = task.truth(rows)
    else:
        encoded, truth = tokenizer.encode(BUILT_IN_TEXTS, None, task.spec.max_length), []
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]["input_ids"]))
    parts = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    batches = [tokenizer.pad([encoded[index] for index in part]) for part in parts]
    return HeldBack(task, batches, [truth[index] for index in order] if rows else None)


def built_in_batches(tokenizer: Tokenizer, max_length: int) -> list[dict[str, Array]]:
    """The built-in texts, padded."""
    return [tokenizer.pad(tokenizer.encode(BUILT_IN_TEXTS, None, max_length))]


def agreement(before: Array, after: Array) -> float:
    """Share of rows with the same best class, of outputs that are numbers; both (rows, classes)."""
    same = (before.argmax(-1) == after.argmax(-1)) & np.isfinite(after).all(-1)
    return float(same.mean())
