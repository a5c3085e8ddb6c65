"""Predictions for the rows of a table: in batches of similar lengths, written in the order of the rows."""

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
"""Most rows that a message names."""


@dataclass
class Predicted:
    """Counts of the predictions for a table.

    Attributes:
        rows: number of rows that were written.
        labels: number of predictions of each label.
        empty: number of rows without a text, which get no label.
        first_empty: numbers of the first such rows; the first row of the table is 1.
    """

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    first_empty: list[int] = field(default_factory=list)

    def count(self, ranked: Ranked) -> None:
        """Count one more row."""
        self.rows += 1
        if ranked:
            self.labels[ranked[0][0]] += 1
        else:
            self.empty += 1
            self.first_empty += [self.rows] if self.empty <= NAMED else []


@dataclass(frozen=True)
class TextPlaces:
    """The indices of a row's cells with the texts; `pair` is None for a model of single texts."""

    text: int
    pair: int | None

    def texts(self, rows: Sequence[Sequence[str]]) -> tuple[list[str], list[str] | None]:
        """The texts of rows, and their second texts."""
        pairs = None if self.pair is None else [row[self.pair] for row in rows]
        return [row[self.text] for row in rows], pairs


@dataclass(frozen=True)
class TextRows:
    """Rows with texts for which labels are predicted.

    Attributes:
        columns: names of the rows' columns.
        rows: the rows, which can be read only once.
        places: the places of the texts in a row.
        sample: texts, and second texts of pairs, on which a model from outside can be tried; at least one.
        total: number of rows; None if unknown.
    """

    columns: tuple[str, ...]
    rows: Iterable[Sequence[str]]
    places: TextPlaces
    sample: tuple[list[str], list[str] | None]
    total: int | None


def rows_of_table(table: Table, columns: Mapping[str, str], text: str | None, text_pair: str | None) -> TextRows:
    """The rows of a table, with the places of their texts as in `text_places`.

    Raises:
        InputError: the columns of the texts are missing, or have no texts.
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
    """The lines of a stream as rows with a text each.

    Raises:
        InputError: the first lines have no text; or, when it is read, a line is not UTF-8.
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
    """The places of the columns with the texts.

    Args:
        columns: columns by role in the table that the model was made with; empty if unknown.
        text: the column that the user names. None: as in that table, else `text`, else the only column.
        text_pair: the same for the second texts. None: as in that table, if it had some.

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
    """Predict and write row after row, with only a window of rows in memory.

    Args:
        top: number of labels for each row.
        progress: called with the number of finished rows.
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
        top: number of labels for each text.
    """
    order = (-probabilities).argsort(axis=-1, kind="stable")[:, :top]
    values = probabilities.round(6).tolist()
    labels = classifier.labels
    return [
        [(labels[place], row[place]) for place in places] for row, places in zip(values, order.tolist(), strict=True)
    ]
