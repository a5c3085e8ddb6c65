"""Rows of a task with a label for each word, that of another package; some words are several tokens."""

import random

from compress.recipe.schema import TaskSpec
from tests.conftest import BAD, FILLER, GOOD
from tests.extending.opinion_words import OpinionWords, Row

HUB_TASK = "token-classification"
LONG = ("oddly", "hmm")
"""Words of several tokens."""


def make_rows(count: int, seed: int) -> list[Row]:
    """Rows of 1 to 9 words."""
    random_ = random.Random(seed)
    rows = []
    for _ in range(count):
        words = random_.choices([*FILLER, *LONG, *GOOD, *GOOD, *BAD, *BAD], k=random_.randint(1, 9))
        rows.append(Row(tuple(words), tuple(2 if word in GOOD else int(word in BAD) for word in words)))
    return rows


def make_task() -> OpinionWords:
    """64 rows to learn from, 24 to choose the epoch by, and 8 without labels."""
    spec = TaskSpec(train="train.csv", max_length=24, metric="token_accuracy")
    texts = [" ".join(row.words) for row in make_rows(8, 4)]
    task = OpinionWords(spec, make_rows(64, 1), make_rows(24, 2), make_rows(24, 3), [], "train", "transfer", "test")
    task.unlabelled.extend(task.without_answers(texts, None))
    return task
