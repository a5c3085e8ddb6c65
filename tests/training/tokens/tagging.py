"""A toy task with a label for each word: `good` and `bad` words, and others. Some words are several tokens."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from compress.answers.token_labels import TokenLabels
from compress.models.tokenizer import Tokenizer
from compress.recipe.schema import TaskSpec
from compress.tasks import UNKNOWN
from tests.conftest import BAD, FILLER, GOOD

HUB_TASK = "token-classification"
LABELS = ("other", "bad", "good")
LONG = ("oddly", "hmm")
"""Words of several tokens."""


@dataclass(frozen=True)
class Row:
    """Words and their labels; `UNKNOWN` of a word whose label is not known."""

    words: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Tagging:
    """See `compress.tasks.Task`."""

    spec: TaskSpec
    train: list[Row]
    validation: list[Row]
    test: list[Row]
    unlabelled: list[Row]
    labels: tuple[str, ...] = LABELS
    overlap: int = 0
    notes: tuple[str, ...] = ()
    train_key: str = "train"
    transfer_key: str = "transfer"
    test_key: str = "test"
    hub_task: str = HUB_TASK
    outputs: Literal["row", "token"] = "token"

    def encode(self, rows: Sequence[Row], tokenizer: Tokenizer, max_length: int | None = None) -> list[dict[str, Any]]:
        encoded = tokenizer.encode(self.texts(rows)[0], None, max_length or self.spec.max_length)
        return [{**inputs, **_labels(row, inputs, tokenizer)} for inputs, row in zip(encoded, rows, strict=True)]

    def collate(self, rows: Sequence[Mapping[str, Any]], tokenizer: Tokenizer) -> dict[str, np.ndarray[Any, Any]]:
        return tokenizer.pad(rows, labels=UNKNOWN, counted=0)

    def texts(self, rows: Sequence[Row]) -> tuple[list[str], None]:
        return [" ".join(row.words) for row in rows], None

    def without_answers(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Row]:
        del pairs
        return [Row(tuple(text.split()), (UNKNOWN,) * len(text.split())) for text in texts]

    def answers(self, outputs: Sequence[np.ndarray[Any, Any]], rows: Sequence[Row]) -> TokenLabels:
        return TokenLabels([row.argmax(-1).tolist() for row in outputs], self.labels)

    def truth(self, rows: Sequence[Row]) -> TokenLabels:
        return TokenLabels([list(row.labels) for row in rows], self.labels)

    def check_labels(self, id2label: Mapping[int, str], source: str, where: str | None) -> None:
        raise NotImplementedError


def _labels(row: Row, inputs: Mapping[str, Any], tokenizer: Tokenizer) -> dict[str, list[int]]:
    """A word's label stands at its first token, as long as the last token, [SEP], does not stand there."""
    size = len(inputs["input_ids"])
    sizes = [len(tokenizer.fast.encode(word, add_special_tokens=False).ids) for word in row.words]
    places = [place for place in accumulate(sizes[:-1], initial=1) if place < size - 1]
    labels, counted = [UNKNOWN] * size, [0] * size
    for place, label in zip(places, row.labels, strict=False):
        labels[place], counted[place] = label, 1
    return {"labels": labels, "counted": counted}


def make_rows(count: int, seed: int) -> list[Row]:
    """Rows of 1 to 9 words."""
    random_ = random.Random(seed)
    rows = []
    for _ in range(count):
        words = random_.choices([*FILLER, *LONG, *GOOD, *GOOD, *BAD, *BAD], k=random_.randint(1, 9))
        rows.append(Row(tuple(words), tuple(2 if word in GOOD else int(word in BAD) for word in words)))
    return rows


def make_task(max_length: int = 24) -> Tagging:
    """64 rows to learn from, 24 to choose the epoch by, and 8 without labels."""
    spec = TaskSpec(train="train.csv", max_length=max_length, metric="token_accuracy")
    task = Tagging(spec, make_rows(64, 1), make_rows(24, 2), make_rows(24, 3), [])
    more = task.without_answers(task.texts(make_rows(8, 4))[0], None)
    return Tagging(spec, task.train, task.validation, task.test, more)
