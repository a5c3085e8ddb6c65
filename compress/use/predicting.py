"""Rows of a table through a classifier: in windows of batches by length, written in the order of the rows."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, BinaryIO

from compress.data.cells import trimmed
from compress.data.tables import Table
from compress.errors import InputError
from compress.use.classifier import WINDOW, Classifier
from compress.use.predicted_files import Ranked, RowWriter

NAMED = 5
"""Rows that a message names."""


@dataclass
class Predicted:
    """What came of a table.

    Attributes:
        rows: that were written.
        labels: how often each label was predicted.
        empty: rows without a text, which got no label.
        first_empty: numbers of the first of them; the first row is 1.
    """

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    first_empty: list[int] = field(default_factory=list)

    def count(self, ranked: Ranked) -> None:
        """One row more."""
        self.rows += 1
        if ranked:
            self.labels[ranked[0][0]] += 1
        else:
            self.empty += 1
            self.first_empty += [self.rows] if self.empty <= NAMED else []


@dataclass(frozen=True)
class TextPlaces:
    """Where a row's texts stand: `pair` is None for a model of single texts."""

    text: int
    pair: int | None

    def texts(self, rows: Sequence[Sequence[str]]) -> tuple[list[str], list[str] | None]:
        """Those of some rows."""
        pairs = None if self.pair is None else [row[self.pair] for row in rows]
        return [row[self.text] for row in rows], pairs


@dataclass(frozen=True)
class TextRows:
    """Rows whose texts are to be predicted.

    Attributes:
        columns: of the rows, by name.
        rows: may be read once only.
        places: of the texts in them.
        sample: texts, and second ones of pairs, on which a model from outside can be tried; at least one.
        total: how many there are; None where that is not known.
    """

    columns: tuple[str, ...]
    rows: Iterable[Sequence[str]]
    places: TextPlaces
    sample: tuple[list[str], list[str] | None]
    total: int | None


def rows_of_table(table: Table, columns: Mapping[str, str], text: str | None, text_pair: str | None) -> TextRows:
    """A table's rows; see `text_places`.

    Raises:
        InputError: the columns of the texts are not there, or hold none.
    """
    places = text_places(table, columns, text, text_pair)
    filled = [row for row in table.rows if trimmed(row[places.text])]
    if not filled:
        raise InputError(
            f"no row of {table.name} has a text in the column '{table.columns[places.text]}'",
            where=table.name,
            fix="choose with --text-column",
        )
    return TextRows(table.columns, table.rows, places, places.texts(filled), len(table.rows))


def rows_of_lines(stream: BinaryIO) -> TextRows:
    """Each line is a text.

    Raises:
        InputError: there is none with a text among the first ones; when it is read, that a line is not UTF-8.
    """
    lines = _lines(stream)
    first = list(islice(lines, WINDOW))
    if not (filled := [row[0] for row in first if trimmed(row[0])]):
        raise InputError(
            "standard input has no text", where="--file -", fix="give a text a line, or name a file of rows"
        )
    return TextRows(("text",), chain(first, lines), TextPlaces(0, None), (filled, None), None)


def _lines(stream: BinaryIO) -> Iterator[tuple[str]]:
    for number, line in enumerate(stream, start=1):
        try:
            yield (line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n"),)
        except UnicodeDecodeError as error:
            raise InputError(
                "standard input is not UTF-8 text", where=f"line {number}", fix="convert it: iconv -f cp1252 -t utf-8"
            ) from error


def text_places(table: Table, columns: Mapping[str, str], text: str | None, text_pair: str | None) -> TextPlaces:
    """The columns that hold the texts.

    Args:
        columns: by role, of the table that the model was made with; empty where that is not known.
        text: the column that the user names. Left out: as in that table, else `text`, else the only column.
        text_pair: the same of the second texts. Left out: as in that table, if it had some.

    Raises:
        InputError: there is no such column, or second texts are named for a model of single texts.
    """
    if text_pair is not None and columns and "text_pair" not in columns:
        raise InputError("the model is made for single texts", where="--text-pair-column", fix="leave the option out")
    first = text or columns.get("text", "text")
    if text is None and first not in table.columns and len(table.columns) == 1:
        first = table.columns[0]
    second = text_pair or columns.get("text_pair")
    pair = None if second is None else _place(table, second, "--text-pair-column")
    return TextPlaces(_place(table, first, "--text-column"), pair)


def _place(table: Table, name: str, option: str) -> int:
    table.column(name, table.name, option)
    names = list(table.columns)
    return names.index(name) if name in names else list(map(trimmed, names)).index(trimmed(name))


def predict_rows(
    classifier: Classifier,
    rows: Iterable[Sequence[str]],
    places: TextPlaces,
    write: RowWriter,
    top: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Predicted:
    """Predict and write row after row; no more than a window of them is held.

    Args:
        top: labels of each row.
        progress: told how many rows are done.
    """
    counts = Predicted()
    for window in _windows(rows, classifier.batch_size * max(1, WINDOW // classifier.batch_size)):
        filled = [row for row in window if trimmed(row[places.text])]
        answers = iter(_answers(classifier, filled, places, top, lambda count: progress(counts.rows + count)))
        for row in window:
            best = next(answers) if trimmed(row[places.text]) else []
            counts.count(best)
            write(row, best)
        progress(counts.rows)
    return counts


def _windows(rows: Iterable[Sequence[str]], size: int) -> Iterator[list[Sequence[str]]]:
    source = iter(rows)
    while window := list(islice(source, size)):
        yield window


def _answers(
    classifier: Classifier,
    rows: Sequence[Sequence[str]],
    places: TextPlaces,
    top: int,
    progress: Callable[[int], None],
) -> list[list[tuple[str, float]]]:
    texts, pairs = places.texts(rows)
    inputs: Any = texts if pairs is None else list(zip(texts, pairs, strict=True))
    return ranked(classifier, classifier.predict_proba(inputs, progress), top)


def ranked(classifier: Classifier, probabilities: Any, top: int) -> list[list[tuple[str, float]]]:
    """The most probable labels of each text, with their probabilities to six digits.

    Args:
        probabilities: (texts, labels)
        top: labels of each text.
    """
    order = (-probabilities).argsort(axis=-1, kind="stable")[:, :top]
    values = probabilities.round(6).tolist()
    labels = classifier.labels
    return [
        [(labels[place], row[place]) for place in places] for row, places in zip(values, order.tolist(), strict=True)
    ]
