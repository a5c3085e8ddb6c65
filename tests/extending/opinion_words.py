"""A task of another package: which words praise, and which blame. Each word has a label; `O` is none of both.

```yaml
task:
  type: opinion_words
  train: words.csv
  columns: {text: sentence, labels: opinions}     # as many labels as words, with blanks between them
```
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from compress.answers.token_labels import TokenLabels
from compress.data.splits import split
from compress.data.tables import ReadTable
from compress.errors import InputError
from compress.files.whole import fingerprint
from compress.models.tokenizer import Tokenizer
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import UNKNOWN

INTERFACE = 1
ANSWERS = "token_labels"
LABELS = ("O", "BLAME", "PRAISE")
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Row:
    """Words, and the index of each one's label; `UNKNOWN` where it is not known."""

    words: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class OpinionWords:
    """See `compress.tasks.Task`."""

    spec: TaskSpec
    train: list[Row]
    validation: list[Row]
    test: list[Row]
    unlabelled: list[Row]
    train_key: str
    transfer_key: str
    test_key: str
    labels: tuple[str, ...] = LABELS
    overlap: int = 0
    notes: tuple[str, ...] = ()
    hub_task: str = "token-classification"
    outputs: Literal["row", "token"] = "token"

    def encode(self, rows: Sequence[Row], tokenizer: Tokenizer, max_length: int | None = None) -> list[dict[str, Any]]:
        """Token ids, with the label of each word at its first token."""
        encoded = tokenizer.encode(self.texts(rows)[0], None, max_length or self.spec.max_length)
        return [{**inputs, **_labels(row, inputs, tokenizer)} for inputs, row in zip(encoded, rows, strict=True)]

    def collate(self, rows: Sequence[Mapping[str, Any]], tokenizer: Tokenizer) -> dict[str, np.ndarray[Any, Any]]:
        """Encoded rows as one batch; padding has no label and does not count."""
        return tokenizer.pad(rows, labels=UNKNOWN, counted=0)

    def texts(self, rows: Sequence[Row]) -> tuple[list[str], None]:
        """The sentences."""
        return [" ".join(row.words) for row in rows], None

    def without_answers(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Row]:
        """Rows of these sentences."""
        del pairs
        return [Row(tuple(text.split()), (UNKNOWN,) * len(text.split())) for text in texts]

    def answers(self, outputs: Sequence[np.ndarray[Any, Any]], rows: Sequence[Row]) -> TokenLabels:
        """The best label of each word."""
        del rows
        return TokenLabels([row.argmax(axis=-1).tolist() for row in outputs], self.labels)

    def truth(self, rows: Sequence[Row]) -> TokenLabels:
        """The label of each word."""
        return TokenLabels([list(row.labels) for row in rows], self.labels)

    def check_labels(self, id2label: Mapping[int, str], source: str, where: str | None) -> None:
        """Refuse a model with other labels."""
        if tuple(id2label[index] for index in sorted(id2label)) != self.labels:
            raise InputError(f"the model '{source}' has other labels", where=where, fix="fine-tune it first")


def _labels(row: Row, inputs: Mapping[str, Any], tokenizer: Tokenizer) -> dict[str, list[int]]:
    """Labels, and which tokens count: the first of each word, up to the last token, which is none of the text's."""
    size = len(inputs["input_ids"])
    lengths = [len(tokenizer.fast.encode(word, add_special_tokens=False).ids) for word in row.words]
    labels, counted = [UNKNOWN] * size, [0] * size
    for place, label in zip(accumulate(lengths, initial=1), row.labels, strict=False):
        if place < size - 1:
            labels[place], counted[place] = label, 1
    return {"labels": labels, "counted": counted}


def load(
    spec: TaskSpec, read: ReadTable, seed: int, origin: Origin, known_labels: Sequence[str] | None
) -> OpinionWords:
    """Read the rows; see `compress.tasks.load_task`."""
    del known_labels
    parts = {part: _rows(spec, read, origin, part) for part in PARTS}
    if not parts["validation"] and len(parts["train"]) > 1:
        parts["train"], parts["validation"] = split(parts["train"], spec.validation_fraction, seed)
    seen = {"type": spec.type, "max_length": spec.max_length, "metric": spec.metric}
    plain = {part: [(row.words, row.labels) for row in rows] for part, rows in parts.items()}
    train_key = fingerprint({**seen, "train": plain["train"], "validation": plain["validation"]})
    test_key = fingerprint({**seen, "test": plain["test"]})
    return OpinionWords(spec, parts["train"], parts["validation"], parts["test"], [], train_key, train_key, test_key)


def _rows(spec: TaskSpec, read: ReadTable, origin: Origin, part: str) -> list[Row]:
    source = getattr(spec, part)
    if source is None:
        return []
    where = origin.where("task", part)
    table = read(source, where, spec.reading)
    texts, labels = (table.column(spec.columns.get(role, role), where) for role in ("text", "labels"))
    rows = [(tuple(text.split()), tuple(said.split())) for text, said in zip(texts, labels, strict=True)]
    if wrong := [words for words, said in rows if len(words) != len(said) or set(said) - set(LABELS)]:
        what = f"{len(wrong)} rows of {table.name} have not a label of {', '.join(LABELS)} for each word"
        raise InputError(what, where=where, fix="mend the file")
    return [Row(words, tuple(map(LABELS.index, said))) for words, said in rows]
