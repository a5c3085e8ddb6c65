"""The rows of a file through a finished model, for `compress predict --file`."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.cli.asking import as_options, folder_of, open_model, refuse
from compress.cli.saying import say, say_json, say_json_line
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.cli.console import Terminal
    from compress.use.predicted_files import RowWriter
    from compress.use.predicting import Predicted, TextRows

STREAM = "-"
"""Name of standard input."""
JSON_LINES = ".jsonl"
SHOWN_LABELS = 6


@dataclass(frozen=True)
class RowsFile:
    """A file of rows, with the user's options on how to read it."""

    name: str
    text_column: str | None
    text_pair_column: str | None
    encoding: str | None
    delimiter: str | None
    sheet: str | None

    def read(self, columns: Mapping[str, str], terminal: "Terminal") -> "TextRows":
        """The file's rows; for `columns` see `rows_of_table`."""
        from compress.data.sources import Sources
        from compress.recipe.reading import reading_of
        from compress.use.predicting import rows_of_lines, rows_of_table

        if self.name == STREAM:
            file_options = {name: value for name, value in vars(self).items() if name != "name"}
            refuse(as_options(file_options), "not for standard input, which is UTF-8, a text a line")
            if "text_pair" in columns:
                raise InputError(
                    "the model is made for pairs of texts, and standard input has one a line",
                    where="--file -",
                    fix="name a file with two columns of texts",
                )
            return rows_of_lines(sys.stdin.buffer)
        reading = reading_of(self.encoding, self.delimiter, self.sheet)
        table = Sources(announce=terminal.announce).table(self.name, "--file", reading)
        for note in table.notes:
            terminal.warned(note)
        return rows_of_table(table, columns, self.text_column, self.text_pair_column)


def predict_file(
    source: str,
    file: RowsFile,
    out: Path | None,
    top: int,
    settings: Mapping[str, int],
    *,
    keep: bool,
    json_output: bool,
) -> None:
    """Predict the rows of a file, and write a row for each."""
    from compress.cli.console import Terminal
    from compress.models.expected_texts import expected_columns
    from compress.use.predicted_files import check_columns, ending_of
    from compress.use.predicting import predict_rows

    with Terminal(quiet=json_output) as terminal:
        folder = folder_of(source, terminal)
        rows = file.read(expected_columns(folder), terminal)
        classifier = open_model(folder, *rows.sample, settings, terminal)
        labels, kept_columns = min(top, len(classifier.labels)), rows.columns if keep else ()
        check_columns(kept_columns, JSON_LINES if out is None else ending_of(out), labels, file.name)
        start = time.monotonic()
        with _writer(out, kept_columns, labels) as write:
            predicted = predict_rows(
                classifier,
                rows.rows,
                rows.places,
                write,
                labels,
                lambda count: terminal.progress("predicting", count, rows.total) if rows.total else None,
            )
        seconds = time.monotonic() - start
        if predicted.empty:
            places = ", ".join(map(str, predicted.first_empty)) + (
                ", …" if predicted.empty > len(predicted.first_empty) else ""
            )
            terminal.warned(f"{predicted.empty:,} of {predicted.rows:,} rows have no text, and got no label: {places}")
    if out is not None:
        _print_summary(out, predicted, seconds, json_output=json_output)


@contextmanager
def _writer(out: Path | None, columns: Sequence[str], top: int) -> "Iterator[RowWriter]":
    """A function that writes rows to stdout, or to a file that is complete or not there at all."""
    from compress.files.whole import new_file
    from compress.use.predicted_files import as_object, ending_of, row_writer

    if out is None:
        yield lambda row, ranked: say_json_line(as_object(columns, row, ranked, top))
        return
    with new_file(out, "--out") as file:
        yield row_writer(file, ending_of(out), columns, top)


def _print_summary(out: Path, predicted: "Predicted", seconds: float, *, json_output: bool) -> None:
    if json_output:
        facts = {"out": str(out), "rows": predicted.rows, "rows_without_text": predicted.empty}
        say_json({**facts, "labels": dict(predicted.labels.most_common()), "seconds": round(seconds, 3)})
        return
    counts = [f"{label} {count:,}" for label, count in predicted.labels.most_common(SHOWN_LABELS)]
    more = len(predicted.labels) - len(counts)
    say(f"{predicted.rows:,} rows in {seconds:.1f} s, {predicted.rows / seconds:,.0f} a second")
    say(f"labels: {', '.join(counts)}{f' and {more} more' if more > 0 else ''}")
    say(f"predictions: {out}")
