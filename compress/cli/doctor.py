"""`compress doctor [ARTIFACT]`: what this machine can win, and why an artifact is not faster."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from compress.cli.help_pages import MEASURE, add_command
from compress.cli.options import Delimiter, Encoding, Json, Sheet
from compress.cli.saying import say_first, say_json
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.cli.console import Terminal
    from compress.data.sources import Sources
    from compress.doctor.examined import Examined
    from compress.doctor.surroundings import Machine

ArtifactName: TypeAlias = Annotated[
    str | None,
    typer.Argument(help="A model folder, an .onnx file, hf://… or pypi://….", metavar="ARTIFACT"),
]
Test: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--test", "--data", help="Rows that the model is meant for: how many tokens they have.", metavar="FILE"
    ),
]
TextColumn: TypeAlias = Annotated[str | None, typer.Option(help="Column of the texts.", metavar="NAME")]
TextPairColumn: TypeAlias = Annotated[str | None, typer.Option(help="Column of the text pairs.", metavar="NAME")]
LabelColumn: TypeAlias = Annotated[
    str | None, typer.Option("--label-column", help="Taken as elsewhere; labels are not read.", metavar="NAME")
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Threads inside one operation. [default: all that can run]", min=1, max=1024, metavar="N"),
]
SequenceLength: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Tokens a row. [default: 128, or what the model takes]", min=1, max=8192, metavar="N"),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        "doctor",
        doctor,
        MEASURE,
        "compress doctor                                 # what this machine can win",
        "compress doctor model/ --test test.csv          # why that model is not faster",
    )


def doctor(
    artifact: ArtifactName = None,
    test: Test = None,
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    _label_column: LabelColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    threads: Threads = None,
    sequence_length: SequenceLength = None,
    json_output: Json = False,
) -> None:
    """Say what this machine can win from int8, 4 bits, half precision and threads, before any work.

    With an ARTIFACT: say why it is not faster, with the numbers that each finding rests on, and what to do.
    """
    say_first(f"looking at {artifact or 'this machine'}", quiet=json_output)
    from compress.cli.console import Terminal
    from compress.cli.doctor_screen import show

    if artifact is None and (test or sequence_length):
        raise InputError(
            "without an artifact there is nothing to hold the rows or their length against",
            where="compress doctor",
            fix="compress doctor FOLDER --test FILE, or leave the options out",
        )
    rows = _Rows(test, text_column or "text", text_pair_column, (encoding, delimiter, sheet))
    examined = None
    with Terminal(quiet=json_output) as terminal:
        if artifact is None:
            machine = _timed_machine(threads, terminal)
        else:
            machine, examined = _examine(artifact, rows, threads, sequence_length, terminal)
    if json_output:
        say_json(_as_json(artifact, machine, examined))
    else:
        show(artifact, machine, examined)


@dataclass(frozen=True)
class _Rows:
    """The source of the rows that the model is meant for.

    Attributes:
        source: the table's source; None: there are no rows.
        text: the column of the texts.
        pair: the column of the second texts, if rows have two.
        reading: encoding, delimiter and sheet, if the file does not show them itself.
    """

    source: str | None
    text: str
    pair: str | None
    reading: tuple[str | None, str | None, str | None]

    def tokens(self, folder: Path, sources: "Sources") -> list[int]:
        """The token ids of some rows, by the tokenizer of the model in `folder`."""
        from compress.doctor.examination import row_tokens
        from compress.recipe.reading import reading_of

        if self.source is None:
            return []
        table = sources.table(self.source, "--test", reading_of(*self.reading))
        texts = table.column(self.text, "--text-column")
        pairs = table.column(self.pair, "--text-pair-column") if self.pair else None
        return row_tokens(folder, texts, pairs)


def _timed_machine(threads: int | None, terminal: "Terminal") -> "Machine":
    """The facts of this machine, with its speed of multiplying in each number format."""
    from compress.doctor.advice import time_machine
    from compress.doctor.surroundings import this_machine

    machine = this_machine()
    return time_machine(machine, threads or machine.threads, terminal.progress)


def _examine(
    artifact: str, rows: _Rows, threads: int | None, sequence_length: int | None, terminal: "Terminal"
) -> "tuple[Machine, Examined]":
    """The facts of this machine, with how busy it was meanwhile, and the examination of an artifact on it."""
    from compress.data.sources import Sources
    from compress.doctor.examination import examine, find_artifact
    from compress.doctor.examined import Examination
    from compress.doctor.surroundings import this_machine

    sources = Sources(announce=terminal.announce)
    folder, file = find_artifact(artifact, sources)
    tokens = rows.tokens(folder, sources)
    machine = this_machine()
    file_name = None if file is None else str(file)
    used = threads or machine.threads
    job = Examination(str(folder), file_name, used, machine.threads, sequence_length, tokens)
    examined = examine(job, terminal.progress)
    return replace(machine, busy_cores=max(machine.busy_cores, examined.facts["busy_cores"])), examined


def _as_json(artifact: str | None, machine: "Machine", examined: "Examined | None") -> dict[str, Any]:
    """The object that `--json` prints."""
    from compress.doctor.advice import advise

    return {
        "machine": {**asdict(machine), "rates": [rate._asdict() for rate in machine.rates]},
        "artifact": examined and {"name": artifact, **examined.facts},
        "advice": [item._asdict() for item in advise(machine)],
        "findings": [item._asdict() for item in examined.findings] if examined else [],
    }
