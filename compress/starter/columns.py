"""The kinds of columns by their values: texts, a few classes, numbers, dates, addresses, ids."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from compress.data.cells import trimmed
from compress.data.labels import NO_LABEL
from compress.data.tables import Table
from compress.starter.names import ABOUT_ROW, PLAIN_TEXT, is_measure, label_rank, names_text, text_rank

MOSTLY = 0.9
"""Share of a column's values that decides the column's kind."""
LOOKED_AT = 5_000
"""Number of a column's values whose form is looked at; all values are counted."""
SHARED = 0.6
"""Share of the parts of cells that also occur elsewhere, from which on the cells hold several labels."""
MOST_CLASSES = 500
ROWS_OF_CLASS = 5
"""Average rows per value from which on values count as classes; a few values may have fewer rows."""
FEW_CLASSES = 20
MOST_GRADES = 21
"""Most distinct numbers that count as grades: 0 to 10 in halves."""
MOST_WORDS_OF_LABEL = 12
_PROSE = 2
"""Average words per value below which a column is hardly a text."""
_INDEX = re.compile(r"Unnamed: [\d.]+$|__index_level_\d+__$")
"""Names that pandas gives to an index."""
_FORMS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("e-mail addresses", re.compile(r"\S+@\S+\.\w+")),
    ("web addresses", re.compile(r"(?:https?://|www\.)\S+")),
    (
        "dates",
        re.compile(
            r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}\S*(?: ?(?:[AP]M|UTC|[+-]\d{2}:?\d{2}))?)?"
            r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(?: \d{1,2}:\d{2}\S*)?"
            r"|\d{1,2}:\d{2}(?::\d{2})?|\d{1,2}\.? [^\W\d]{3,9}\.? \d{4}|[^\W\d]{3,9}\.? \d{1,2}, \d{4}"
        ),
    ),
    ("telephone numbers", re.compile(r"\+?[\d(][\d ()/.-]{5,18}\d")),
    ("ids", re.compile(r"(?=\S*\d)[A-Za-z0-9]+(?:[-_:/.#][A-Za-z0-9]+)*|[0-9a-fA-F-]{16,}")),
)
"""Kinds of values that are neither texts nor classes, if nearly each row has one of its own."""
_ADDRESSES = ("dates", "e-mail addresses", "web addresses")
_LIST = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)
_LIST_SIGNS = ";|,/"
_SHORT = 60


@dataclass(frozen=True)
class Column:
    """A column with properties of its values.

    Attributes:
        values: the values without white space around them.
        unfit: why the column can be neither text nor label, by the table itself.
    """

    name: str
    values: tuple[str, ...]
    unfit: str = ""

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of rows of each value that is not blank."""
        return Counter(value for value in self.values if value.casefold() not in NO_LABEL)

    @cached_property
    def rows(self) -> int:
        """Number of rows with a value."""
        return self.counts.total()

    @cached_property
    def words(self) -> float:
        """Average number of words per value."""
        values = self._sample
        return sum(len(value.split()) for value in values) / max(len(values), 1)

    @cached_property
    def characters(self) -> float:
        """Average number of characters per value."""
        return sum(map(len, self._sample)) / max(len(self._sample), 1)

    @cached_property
    def numbers(self) -> tuple[float, ...] | None:
        """The distinct values as numbers; None if some are not numbers."""
        try:
            numbers = tuple(float(value.replace(",", ".")) for value in self.counts)
        except ValueError:
            return None
        return numbers if numbers and all(map(math.isfinite, numbers)) else None

    @cached_property
    def is_quantity(self) -> bool:
        """Whether the values are measured numbers, not numbers of classes."""
        if self.numbers is None or len(self.numbers) <= MOST_GRADES:
            return False
        whole = all(number.is_integer() for number in self.numbers)
        most = max(map(abs, self.numbers))
        return not whole or most > 2 * len(self.numbers) or self.rows < ROWS_OF_CLASS * len(self.counts)

    @cached_property
    def form(self) -> str:
        """The kind of values with a common form: dates, addresses, ids; '' for others."""
        values = self._sample
        if not values:
            return ""
        for kind, pattern in _FORMS:
            if sum(pattern.fullmatch(value) is not None for value in values) >= MOSTLY * len(values):
                return kind
        return ""

    @cached_property
    def several_labels(self) -> str:
        """An example of a cell with several labels, if many cells have several; '' otherwise."""
        cells = [value for value in self.counts if _LIST.fullmatch(value)]
        if cells and sum(self.counts[value] for value in cells) >= 0.5 * self.rows:
            return cells[0]
        return next((cell for sign in _LIST_SIGNS if (cell := self._joined_by(sign))), "") or self._joined_by(" ")

    def _joined_by(self, sign: str) -> str:
        """An example of a cell whose labels, joined by the sign, also occur alone or in other cells; else ''."""
        cells = {value: [part.strip() for part in value.split(sign)] for value in self.counts if sign in value}
        if sum(self.counts[value] for value in cells) < 0.05 * self.rows or len(cells) < 2:
            return ""
        homes = Counter(part for parts in cells.values() for part in set(parts))
        alone = set(self.counts) - set(cells)
        shared = sum(part in alone or (homes[part] > 1 and sign != " ") for part in homes)
        short = max(map(len, homes)) <= _SHORT
        return next(iter(cells)) if short and shared >= SHARED * len(homes) and "" not in homes else ""

    @cached_property
    def _sample(self) -> list[str]:
        """A sample of the values that are not blank, from all parts of the column."""
        full = [value for value in self.values if value.casefold() not in NO_LABEL]
        return full[:: max(1, len(full) // LOOKED_AT)]

    @property
    def has_own_values(self) -> bool:
        """Whether nearly every row has a different value."""
        return len(self.counts) >= MOSTLY * self.rows

    @property
    def not_text(self) -> str:
        """The reason why the column cannot be the text; '' if it can."""
        is_plain = text_rank(self.name) == PLAIN_TEXT
        sure = self.unfit or (self.form if self.form in _ADDRESSES and not is_plain else "")
        if sure or is_plain or (names_text(self.name) and not self._is_few()):
            return sure
        return self._is_no_content() or self._is_no_prose()

    def _is_few(self) -> bool:
        """Whether the column has only a few short values, which are repeated."""
        most = max(FEW_CLASSES, self.rows // 20)
        return self.words < MOST_WORDS_OF_LABEL / 2 and len(self.counts) <= most and not self.has_own_values

    def _is_no_prose(self) -> str:
        if self.numbers is not None:
            return "numbers"
        if self.form and self.words < _PROSE:
            return self.form
        if is_measure(self.name) and self.words < _PROSE:
            return "ids" if self.has_own_values else "numbers or codes"
        return f"{len(self.counts):,} different values" if self._is_few() else ""

    @property
    def not_label(self) -> str:
        """The reason why the column cannot be the label; '' if it can."""
        return self.unfit or self._is_no_content() or self._is_no_class() or self._has_too_many()

    def _is_no_class(self) -> str:
        if self.words > MOST_WORDS_OF_LABEL:
            return "long texts"
        if is_measure(self.name) and label_rank(self.name) == ABOUT_ROW:
            return self.form or "ids or numbers, by its name"
        if self.is_quantity or self.form in _ADDRESSES:
            return self.form if self.form in _ADDRESSES else "numbers"
        return f"several labels in a cell, such as '{self.several_labels[:_SHORT]}'" if self.several_labels else ""

    def _has_too_many(self) -> str:
        distinct = len(self.counts)
        most = min(MOST_CLASSES, max(2, self.rows // 2), max(FEW_CLASSES, self.rows // ROWS_OF_CLASS))
        kind = self.form or ("names" if self.words < _PROSE + 1 else "texts")
        return f"{distinct:,} different values: {kind}" if distinct > most else ""

    def _is_no_content(self) -> str:
        if not self.rows:
            return "empty"
        if len(self.counts) == 1:
            return "the same in all rows"
        return "an index" if self._is_index() else ""

    def _is_index(self) -> bool:
        """Whether the column numbers the rows, or holds numbers and has no name or the name of an index."""
        try:
            numbers = list(map(int, self.values))
        except ValueError:
            return False
        counted = len(numbers) > 2 and all(one + 1 == other for one, other in pairwise(numbers))
        return counted or not trimmed(self.name) or _INDEX.match(self.name) is not None


def columns_of(table: Table, keep: Callable[[str], bool] = lambda _: True) -> list[Column]:
    """The columns of a table; columns that share a name become one that is unfit."""
    columns: dict[str, Column] = {}
    for place, name in enumerate(table.columns):
        if not keep(name):
            continue
        if table.columns.count(name) > 1:
            columns[name] = Column(name, (), "several columns of that name")
        else:
            values = tuple(trimmed(row[place]) for row in table.rows)
            columns[name] = Column(name, values, table.unfit.get(name, ""))
    return list(columns.values())
