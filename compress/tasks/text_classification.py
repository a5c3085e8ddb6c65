"""One label for each text, or for each pair of texts.

```yaml
task:
  type: text_classification
  train: reviews.csv
  test: test.csv
  unlabelled: more.csv                       # texts without labels, for the stages that train under a teacher
  columns: {text: review, label: stars}      # and text_pair, for two texts a row
```
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from compress.answers.label import ACCURACY, F1_MACRO, Label
from compress.data.labelled import PartReader, Texts
from compress.data.labels import (
    Classes,
    check_repeated,
    check_spellings,
    label_notes,
    labels_in_texts,
    ordered,
    shortened,
)
from compress.data.leaks import also_in_test, check_overlap, only_new
from compress.data.splits import conflicting, sample, split
from compress.data.tables import ReadTable
from compress.errors import InputError, did_you_mean
from compress.files.whole import fingerprint
from compress.ops.softmax import softmax
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import UNKNOWN

if TYPE_CHECKING:
    from compress.models.tokenizer import Tokenizer

ANSWERS = "label"
ROLES = ("text", "text_pair", "label")
FEWEST_ROWS = 4
"""Training rows of which others can be held out."""


@dataclass(frozen=True)
class Row:
    """One example; `label` is an index into the task's labels, or UNKNOWN."""

    text: str
    text_pair: str | None
    label: int

    @property
    def content(self) -> tuple[str, str | None]:
        """The texts without white space around them: rows with the same content are the same row."""
        return self.text.strip(), self.text_pair.strip() if self.text_pair is not None else None


@dataclass(frozen=True)
class TextClassification:
    """A task with one label for each text or pair of texts; see `compress.tasks.Task`."""

    spec: TaskSpec
    labels: tuple[str, ...]
    train: list[Row]
    validation: list[Row]
    test: list[Row]
    unlabelled: list[Row]
    overlap: int
    notes: tuple[str, ...]
    train_key: str
    transfer_key: str
    test_key: str
    hub_task: str = "text-classification"
    outputs: Literal["row", "token"] = "row"

    def encode(
        self, rows: Sequence[Row], tokenizer: "Tokenizer", max_length: int | None = None
    ) -> list[dict[str, Any]]:
        """The token ids of each row, cut to `max_length` (None: the task's), with `labels`."""
        texts, pairs = self.texts(rows)
        encoded = tokenizer.encode(texts, pairs, max_length or self.spec.max_length)
        return [{**inputs, "labels": row.label} for inputs, row in zip(encoded, rows, strict=True)]

    def collate(self, rows: Sequence[Mapping[str, Any]], tokenizer: "Tokenizer") -> dict[str, np.ndarray[Any, Any]]:
        """The token ids of encoded rows, padded, with `labels` (batch,)."""
        return {**tokenizer.pad(rows), "labels": np.array([row["labels"] for row in rows], np.int64)}

    def texts(self, rows: Sequence[Row]) -> tuple[list[str], list[str] | None]:
        """The rows' texts, and their second texts where each row is a pair."""
        pairs = [row.text_pair or "" for row in rows] if rows and rows[0].text_pair is not None else None
        return [row.text for row in rows], pairs

    def without_answers(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Row]:
        """Rows of these texts, with an unknown label."""
        second_texts: Sequence[str | None] = pairs if pairs is not None else [None] * len(texts)
        return [Row(text, pair, UNKNOWN) for text, pair in zip(texts, second_texts, strict=True)]

    def answers(self, outputs: Sequence[np.ndarray[Any, Any]], rows: Sequence[Row]) -> Label:
        """The best class of each row, and its softmax probability rounded to six digits.

        Args:
            outputs: the logits of each row, (classes,).
            rows: not used.

        Raises:
            InputError: the model has more or fewer classes than the data.
        """
        del rows
        logits = np.asarray(outputs)  # (rows, classes)
        if self.labels and logits.shape[-1] != len(self.labels):
            raise InputError(
                f"the model gives {logits.shape[-1]} numbers a row, the data has {len(self.labels)} labels",
                fix="give the model that knows these labels",
            )
        return Label(logits.argmax(axis=-1).tolist(), self.labels, softmax(logits).max(axis=-1).round(6).tolist())

    def truth(self, rows: Sequence[Row]) -> Label:
        """The class of each row."""
        return Label([row.label for row in rows], self.labels)

    def check_labels(self, id2label: Mapping[int, str], source: str, where: str | None) -> None:
        """Refuse a model whose classes are not the data's, in the same order.

        Raises:
            InputError: the classes or their order differ.
        """
        theirs = tuple(id2label[index] for index in sorted(id2label))
        if not theirs:
            raise InputError(
                f"the config.json of the model '{source}' names no labels, the data has {shortened(self.labels)}",
                where=where,
                fix="fine-tune it on this data first",
            )
        if theirs != self.labels and sorted(theirs) == sorted(self.labels):
            raise InputError(
                f"the model '{source}' has the data's labels in another order: {shortened(theirs)}, where the data has "
                f"{shortened(self.labels)}",
                where=where,
                fix="fine-tune it on this data first, which puts its head in order",
            )
        if theirs != self.labels:
            raise InputError(
                f"the model '{source}' knows the labels {shortened(theirs)}, the data has {shortened(self.labels)}",
                where=where,
                fix="fine-tune it on this data first, or name the data's labels as the model does",
            )


def load(
    spec: TaskSpec, read_table: ReadTable, seed: int, origin: Origin, known_labels: Sequence[str] | None
) -> TextClassification:
    """The task with its data read, checked and split; see `compress.tasks.load_task`."""
    _check_columns(spec, origin)
    reader = PartReader(spec, read_table, origin)
    train, test, validation = (reader.labelled(part) for part in ("train", "test", "validation"))
    classes = _classes(spec, train, test, known_labels, origin)
    labels = classes.labels
    parts = {
        part: _number(rows, classes, part, origin)
        for part, rows in (("train", train), ("validation", validation), ("test", test))
    }
    all_train = parts["train"]
    if spec.test is None and spec.test_fraction is not None and train:
        parts["train"], parts["test"] = _held_out(parts["train"], spec.test_fraction, seed + 1, origin)
    _check_test(parts["test"], labels, origin)
    parts["unlabelled"] = [Row(text, pair, UNKNOWN) for text, pair in reader.unlabelled()]
    overlap = check_overlap(spec, parts, origin)
    if spec.selecting is not None:
        share, part = spec.selecting.share, spec.selecting.part
        parts["train"], parts["test"] = _held_out(parts["train"], share, seed + 2, origin, part)
        check_overlap(spec.model_copy(update={"overlap": "drop"}), parts, origin)
    kept_train, validation_rows = parts["train"], parts["validation"]
    if spec.train_rows is not None:
        kept_train = sample(kept_train, spec.train_rows, seed)
    if spec.validation is None and len(kept_train) > 1:
        kept_train, validation_rows = split(
            kept_train, spec.validation_fraction, seed, [row.label for row in kept_train]
        )
    unlabelled, duplicates = only_new(parts["unlabelled"], (*kept_train, *validation_rows))
    stage_settings = {"type": spec.type, "labels": labels, "max_length": spec.max_length, "metric": spec.metric}
    left_out = also_in_test(kept_train, parts["test"])  # calibration does not use these rows
    train_key = fingerprint(
        {**stage_settings, "train": _plain(kept_train), "validation": _plain(validation_rows), **left_out}
    )
    return TextClassification(
        spec=spec,
        labels=labels,
        train=kept_train,
        validation=validation_rows,
        test=parts["test"],
        unlabelled=unlabelled,
        overlap=overlap,
        notes=(
            *reader.notes,
            *_notes(spec, overlap, len(parts["test"]), reader.incomplete, duplicates),
            *_label_notes(spec, classes, all_train, kept_train, parts["test"]),
        ),
        train_key=train_key,
        transfer_key=fingerprint([train_key, _plain(unlabelled)]) if unlabelled else train_key,
        test_key=fingerprint({**stage_settings, "test": _plain(parts["test"])}),
    )


def _check_columns(spec: TaskSpec, origin: Origin) -> None:
    for role in spec.columns:
        if role not in ROLES:
            raise InputError(
                f"text_classification has no column role '{role}'",
                where=origin.where("task", "columns", role),
                fix=did_you_mean(role, ROLES),
            )


def _classes(
    spec: TaskSpec,
    train: Sequence[tuple[Texts, str]],
    test: Sequence[tuple[Texts, str]],
    known_labels: Sequence[str] | None,
    origin: Origin,
) -> Classes:
    """The classes: the model's, if `known_labels` has them; else those of the training rows, else of the test rows.

    Raises:
        InputError: a class has two spellings, each row has a label of its own, or all rows have the same one.
    """
    labels = [label for _, label in train or test]
    where = origin.where("task", "train" if train else "test")
    if not known_labels:
        check_spellings(labels, where)
    if train:
        check_repeated(labels, spec.columns.get("label", "label"), where)
    classes = Classes(known_labels or ordered(labels))
    if train and len(classes.labels) < 2:
        raise InputError(
            f"all training rows have the label '{classes.labels[0]}'", where=where, fix="check columns.label"
        )
    return classes


def _held_out(
    train: list[Row], fraction: float, seed: int, origin: Origin, fold: int = 0
) -> tuple[list[Row], list[Row]]:
    """Training rows, and test rows that are held out of them."""
    if len(train) < FEWEST_ROWS:
        raise InputError(
            f"{len(train)} training rows are too few to hold test rows out of them",
            where=origin.where("task", "test_fraction"),
            fix="give more rows, or a test file",
        )
    return split(train, fraction, seed, [row.label for row in train], fold=fold)


def _label_notes(
    spec: TaskSpec, classes: Classes, train: Sequence[Row], kept_train: Sequence[Row], test: Sequence[Row]
) -> list[str]:
    labels = classes.labels
    counts = [Counter(labels[row.label] for row in rows) for rows in (train, kept_train, test)]
    notes = label_notes(classes, *counts, fairer=F1_MACRO if spec.metric == ACCURACY else "")
    notes += labels_in_texts([(row.text, labels[row.label]) for row in train])
    if rows := conflicting([(row.content, row.label) for row in train]):
        notes.append(f"{rows:,} training rows have the same text as others with another label")
    return notes


def _number(rows: Sequence[tuple[Texts, str]], classes: Classes, part: str, origin: Origin) -> list[Row]:
    """The rows with the numbers of their labels; a label that is none of the classes is refused."""
    numbers = [classes.number(label) for _, label in rows]
    unknown = [label for (_, label), number in zip(rows, numbers, strict=True) if number is None]
    if unknown:
        raise InputError(
            f"{len(unknown):,} of {len(rows):,} {part} rows have unknown labels: {shortened(sorted(set(unknown)))}",
            where=origin.where("task", part),
            fix=classes.fix(sorted(set(unknown))),
        )
    return [
        Row(text, pair, number) for ((text, pair), _), number in zip(rows, numbers, strict=True) if number is not None
    ]


def _check_test(test: Sequence[Row], labels: Sequence[str], origin: Origin) -> None:
    """Refuse test rows that all have one label: on them a model that always gives it would be right."""
    if test and len({row.label for row in test}) == 1:
        rows = "the only test row has" if len(test) == 1 else f"all {len(test):,} test rows have"
        raise InputError(
            f"{rows} the label '{labels[test[0].label]}'",
            where=origin.where("task", "test"),
            fix="give test rows of at least two classes: on these, a model that always says so would score 100%",
        )


def _notes(spec: TaskSpec, overlap: int, test_rows: int, incomplete_rows: int, duplicates: int) -> tuple[str, ...]:
    notes = []
    if overlap:
        place = "train or in the unlabelled rows" if spec.unlabelled else "train"
        outcome = f"left out {'there' if spec.unlabelled else 'of train'}"
        if spec.overlap == "allow":
            outcome = "allowed by the recipe"
        notes.append(f"{overlap:,} of {test_rows:,} test rows also stand in {place} ({outcome})")
    if incomplete_rows:
        notes.append(f"{incomplete_rows:,} rows without a text or a label were left out")
    if duplicates:
        notes.append(f"{duplicates:,} unlabelled rows that stand elsewhere already were left out")
    if spec.test is None and spec.test_fraction is not None:
        notes.append(f"the test rows are {spec.test_fraction:.0%} of the training file, drawn by the seed")
    return tuple(notes)


def _plain(rows: Sequence[Row]) -> list[tuple[str, str | None, int]]:
    return [(row.text, row.text_pair, row.label) for row in rows]
