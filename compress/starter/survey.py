"""What a first look at somebody's data shows: roles, rows, classes, lengths, and the settings that follow."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.data.cells import trimmed
from compress.data.labels import NO_LABEL, SKEWED
from compress.data.tables import Table
from compress.starter.roles import Roles

LENGTHS = (32, 64, 128, 256)
"""Of which one is taken: the shortest that holds nine texts of ten, or the last."""
MOST_TOKENS = 1024
"""Up to which the tokens of a text are counted."""
COUNTED_TEXTS = 2_000
COUNTED_CHARACTERS = 20_000


@dataclass(frozen=True)
class Lengths:
    """Tokens of the texts, of pairs both together, with the special ones.

    Attributes:
        median: of all texts that were counted.
        ninth: nine of ten texts are no longer.
        longest: at most `MOST_TOKENS`.
        kept: the task's `max_length`.
        cut: share of the texts that are longer than that.
    """

    median: int
    ninth: int
    longest: int
    kept: int
    cut: float


@dataclass(frozen=True)
class Survey:
    """What was found in the training rows, and in the test rows if there are any.

    Attributes:
        counts: rows of each label, the commonest first; without those that say that there is none.
        no_label: what stands in the place of a label that is missing -> its rows.
        lacking: rows that lack a text or a label, `no_label` among them, in all tables.
        rows: those of the training table that lack nothing, as (text, second text, label).
    """

    table: Table
    roles: Roles
    counts: dict[str, int]
    no_label: dict[str, int]
    lacking: int
    rows: tuple[tuple[str, str | None, str], ...]
    lengths: Lengths

    @property
    def is_skewed(self) -> bool:
        """Whether most rows have one label."""
        return len(self.counts) > 1 and max(self.counts.values()) >= SKEWED * sum(self.counts.values())


def look_at(table: Table, test: Table | None, roles: Roles, model: Path, positions: int | None) -> Survey:
    """Count labels, gaps and tokens.

    Args:
        model: the folder whose tokenizer counts.
        positions: most tokens that the model takes; None for any number.

    Raises:
        InputError: the test table lacks a column, or the model has no tokenizer that can be read.
    """
    train_rows = _rows(table, roles)
    written = Counter(label for _, _, label in train_rows)
    none = _no_label(written)
    parts = [train_rows] if test is None else [train_rows, _rows(test, roles)]
    whole = [[row for row in part if trimmed(row[0]) and row[2] and row[2] not in none] for part in parts]
    rows = tuple(whole[0])
    counts = dict(Counter(label for _, _, label in rows).most_common())
    missing = {value: written[value] for value in none if value}
    lengths = _lengths(rows or tuple(train_rows), model, positions)
    lacking = sum(map(len, parts)) - sum(map(len, whole))
    return Survey(table, roles, counts, missing, lacking, rows, lengths)


def _rows(table: Table, roles: Roles) -> list[tuple[str, str | None, str]]:
    pairs: Sequence[str | None] = [None] * len(table.rows)
    if roles.text_pair is not None:
        pairs = table.column(roles.text_pair, "--test", "--text-pair-column")
    labels = map(trimmed, table.column(roles.label, "--test", "--label-column"))
    return list(zip(table.column(roles.text, "--test", "--text-column"), pairs, labels, strict=True))


def _no_label(written: Counter[str]) -> set[str]:
    """What stands in the place of a label: signs for it, and -1 beside the numbers of three classes or more."""
    none = {label for label in written if label.casefold() in NO_LABEL}
    others = set(written) - none - {"-1"}
    if "-1" in written and len(others) > 2 and all(label.isdecimal() for label in others):
        none.add("-1")
    return none if len(set(written) - none) > 1 else none & {""}


def _lengths(rows: Sequence[tuple[str, str | None, str]], model: Path, positions: int | None) -> Lengths:
    from compress.models.tokenizer import load_tokenizer

    seen = rows[:: max(1, len(rows) // COUNTED_TEXTS)]
    texts = [text[:COUNTED_CHARACTERS] for text, _, _ in seen]
    seconds = [(pair or "")[:COUNTED_CHARACTERS] for _, pair, _ in seen]
    pairs = seconds if seen[0][1] is not None else None
    found = sorted(len(row["input_ids"]) for row in load_tokenizer(model).encode(texts, pairs, MOST_TOKENS))
    ninth = found[math.ceil(0.9 * len(found)) - 1]
    kept = next((size for size in LENGTHS if size >= ninth), LENGTHS[-1])
    kept = min(kept, positions or kept)
    cut = sum(length > kept for length in found) / len(found)
    return Lengths(found[len(found) // 2], ninth, found[-1], kept, cut)
