"""The survey of a user's data: roles, rows, classes and lengths, with the settings that follow from them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.data.cells import trimmed
from compress.data.labels import NO_LABEL, SKEWED
from compress.data.tables import Table
from compress.models.config_file import head_problem
from compress.starter.roles import Roles

HUB_TASK = "text-classification"
LENGTHS = (32, 64, 128, 256)
"""Possible lengths: the shortest that is enough for nine of ten texts is chosen, or the last."""
MOST_TOKENS = 1024
"""Number up to which the tokens of a text are counted."""
COUNTED_TEXTS = 2_000
COUNTED_CHARACTERS = 20_000


@dataclass(frozen=True)
class Lengths:
    """The lengths of the texts in tokens, with special tokens; a pair counts as one text.

    Attributes:
        median: the median of the counted texts.
        ninth: the length that nine of ten texts do not exceed.
        longest: the longest, at most `MOST_TOKENS`.
        max_length: the task's `max_length`.
        cut: share of the texts that are longer than `max_length`.
    """

    median: int
    ninth: int
    longest: int
    max_length: int
    cut: float


@dataclass(frozen=True)
class Survey:
    """The results of a look at the training rows, and at the test rows if there are any.

    Attributes:
        counts: number of rows of each label, the commonest first; without marks of missing labels.
        no_label: mark of a missing label -> its number of rows.
        lacking: number of rows in all tables without a text or a label, those of `no_label` included.
        rows: the complete rows of the training table, as (text, second text, label).
        knows_labels: whether the model is a classifier with just these labels.
    """

    table: Table
    roles: Roles
    counts: dict[str, int]
    no_label: dict[str, int]
    lacking: int
    rows: tuple[tuple[str, str | None, str], ...]
    lengths: Lengths
    knows_labels: bool

    @property
    def is_skewed(self) -> bool:
        """Whether most rows have one label."""
        return len(self.counts) > 1 and max(self.counts.values()) >= SKEWED * sum(self.counts.values())


def look_at(table: Table, test: Table | None, roles: Roles, model: Path, positions: int | None) -> Survey:
    """A survey: the labels, missing values and tokens of tables.

    Args:
        model: the folder of the model with the tokenizer.
        positions: most tokens that the model takes; None for any number.

    Raises:
        InputError: the test table lacks a column, or the model has no tokenizer that can be read.
    """
    train_rows = _rows(table, roles)
    label_counts = Counter(label for _, _, label in train_rows)
    none = _no_label(label_counts)
    parts = [train_rows] if test is None else [train_rows, _rows(test, roles)]
    whole = [[row for row in part if trimmed(row[0]) and row[2] and row[2] not in none] for part in parts]
    rows = tuple(whole[0])
    counts = dict(Counter(label for _, _, label in rows).most_common())
    missing = {value: label_counts[value] for value in none if value}
    lengths = _lengths(rows or tuple(train_rows), model, positions)
    lacking = sum(map(len, parts)) - sum(map(len, whole))
    knows_labels = head_problem(model, HUB_TASK, list(counts)) is None
    return Survey(table, roles, counts, missing, lacking, rows, lengths, knows_labels)


def _rows(table: Table, roles: Roles) -> list[tuple[str, str | None, str]]:
    pairs: Sequence[str | None] = [None] * len(table.rows)
    if roles.text_pair is not None:
        pairs = table.column(roles.text_pair, "--test", "--text-pair-column")
    labels = map(trimmed, table.column(roles.label, "--test", "--label-column"))
    return list(zip(table.column(roles.text, "--test", "--text-column"), pairs, labels, strict=True))


def _no_label(label_counts: Counter[str]) -> set[str]:
    """The marks of missing labels: known signs, and -1 if three or more other labels are numbers."""
    none = {label for label in label_counts if label.casefold() in NO_LABEL}
    others = set(label_counts) - none - {"-1"}
    if "-1" in label_counts and len(others) > 2 and all(label.isdecimal() for label in others):
        none.add("-1")
    return none if len(set(label_counts) - none) > 1 else none & {""}


def _lengths(rows: Sequence[tuple[str, str | None, str]], model: Path, positions: int | None) -> Lengths:
    from compress.models.tokenizer import load_tokenizer

    sample = rows[:: max(1, len(rows) // COUNTED_TEXTS)]
    texts = [text[:COUNTED_CHARACTERS] for text, _, _ in sample]
    seconds = [(pair or "")[:COUNTED_CHARACTERS] for _, pair, _ in sample]
    pairs = seconds if sample[0][1] is not None else None
    lengths = sorted(len(row["input_ids"]) for row in load_tokenizer(model).encode(texts, pairs, MOST_TOKENS))
    ninth = lengths[math.ceil(0.9 * len(lengths)) - 1]
    max_length = next((size for size in LENGTHS if size >= ninth), LENGTHS[-1])
    max_length = min(max_length, positions or max_length)
    cut = sum(length > max_length for length in lengths) / len(lengths)
    return Lengths(lengths[len(lengths) // 2], ninth, lengths[-1], max_length, cut)
