"""`compress doctor [ARTIFACT]`: what this machine can win, and why an artifact is not faster."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.help_pages import MEASURE, add_command
from compress.cli.options import Delimiter, Encoding, Json, Sheet
from compress.cli.saying import say_first, say_json
from compress.errors import InputError, printable

if TYPE_CHECKING:
    from compress.data.tables import Table
    from compress.doctor.advice import Advice, Finding
    from compress.doctor.surroundings import Machine

COLUMNS = {
    "int8_dynamic": "int8\ndyn.",
    "int8_static": "int8\nstatic",
    "4bit_float": "4-bit\n/0",
    "4bit": "4-bit\n/4",
    "onnx_fp16": "\nfp16",
    "bf16": "\nbf16",
}
OPERATORS_SHOWN = 4
WIDTH = 80


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
    artifact: Annotated[
        str | None,
        typer.Argument(help="A model folder, an .onnx file, hf://… or pypi://….", metavar="ARTIFACT"),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test", "--data", help="Rows that the model is meant for: how many tokens they have.", metavar="FILE"
        ),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts.", metavar="NAME")] = None,
    text_pair_column: Annotated[str | None, typer.Option(help="Column of the text pairs.", metavar="NAME")] = None,
    _label_column: Annotated[
        str | None, typer.Option("--label-column", help="Taken as elsewhere; labels are not read.", metavar="NAME")
    ] = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads inside one operation. [default: all that can run]", min=1, max=1024, metavar="N"),
    ] = None,
    sequence_length: Annotated[
        int | None,
        typer.Option(help="Tokens a row. [default: 128, or what the model takes]", min=1, max=8192, metavar="N"),
    ] = None,
    json_output: Json = False,
) -> None:
    """Say what this machine can win from int8, 4 bits, half precision and threads, before any work.

    With an ARTIFACT: say why it is not faster, with the numbers that each finding rests on, and what to do.
    """
    say_first(f"looking at {artifact or 'this machine'}", quiet=json_output)
    from compress.cli.console import Terminal
    from compress.data.sources import Sources
    from compress.doctor.advice import advise, time_machine
    from compress.doctor.surroundings import look_around
    from compress.recipe.reading import reading_of

    if artifact is None and (test or sequence_length):
        raise InputError(
            "without an artifact there is nothing to hold the rows or their length against",
            where="compress doctor",
            fix="compress doctor FOLDER --test FILE, or leave the options out",
        )
    examined = None
    with Terminal(quiet=json_output) as terminal:
        if artifact is None:
            machine = look_around()
            machine = time_machine(machine, threads or machine.threads, terminal.progress)
        else:
            from compress.doctor.examination import examine, find_artifact
            from compress.doctor.examined import Examination

            sources = Sources(announce=terminal.announce)
            folder, file = find_artifact(artifact, sources)
            rows = []
            if test is not None:
                table = sources.table(test, "--test", reading_of(encoding, delimiter, sheet))
                rows = _row_tokens(folder, table, text_column, text_pair_column)
            machine = look_around()
            named = None if file is None else str(file)
            used = threads or machine.threads
            job = Examination(str(folder), named, used, machine.threads, sequence_length, rows)
            examined = examine(job, terminal.progress)
            machine = replace(machine, busy_cores=max(machine.busy_cores, examined.facts["busy_cores"]))
    advice = advise(machine)
    if json_output:
        told = {
            "machine": {**asdict(machine), "rates": [rate._asdict() for rate in machine.rates]},
            "artifact": examined and {"name": artifact, **examined.facts},
            "advice": [item._asdict() for item in advice],
            "findings": [item._asdict() for item in examined.findings] if examined else [],
        }
        say_json(told)
        return
    screen = _Screen()
    screen.machine(machine)
    screen.advice(advice)
    if examined is not None:
        screen.artifact(str(artifact), examined.facts)
        screen.findings(examined.findings, examined.facts)


def _row_tokens(folder: Path, table: "Table", text_column: str | None, text_pair_column: str | None) -> list[int]:
    from compress.doctor.examination import row_tokens

    texts = table.column(text_column or "text", "--text-column")
    pairs = table.column(text_pair_column, "--text-pair-column") if text_pair_column else None
    return row_tokens(folder, texts, pairs)


class _Screen:
    """What a person sees on stdout."""

    def __init__(self) -> None:
        from compress.cli.screen import Screen

        self.console = Screen(width=None if sys.stdout.isatty() else WIDTH)

    def print(self, text: str, style: str = "") -> None:
        """Paragraphs."""
        for line in text.split("\n"):
            self.console.print(line, style=style)

    def pairs(self, rows: Sequence[tuple[str, str]], style: str = "") -> None:
        """Words with what they stand for, the words in a column of their own."""
        from rich.table import Table

        from compress.cli.screen import styled

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
        for word, text in rows:
            table.add_row(word, styled((text, style)))
        self.console.print(table)

    def machine(self, machine: "Machine") -> None:
        """One line of facts, and the table of rates where there are any."""
        sets = " ".join(machine.isa) or "no instruction sets of note"
        self.print(
            f"{machine.cpu}, {_count(machine.processors, 'processor')}, {machine.memory_bytes / 1e9:.0f} GB ({sets})"
        )
        if not machine.rates:
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name in ("\nthreads", "\ntokens", "\nproduct", "fp32\nGFLOP/s", *COLUMNS.values()):
            table.add_column(Text(name), justify="right", no_wrap=True)
        found = {rate[:5]: rate for rate in machine.rates}
        for kind, tokens, inputs, outputs, threads in [key for key in found if key[0] == "fp32"]:
            shape = (tokens, inputs, outputs, threads)
            others = [found.get((name, *shape)) for name in COLUMNS]
            table.add_row(
                str(threads),
                str(tokens),
                f"{inputs}x{outputs}",
                f"{found[kind, *shape].gflops:.0f}",
                *(f"{rate.ratio:.1f}x" if rate else "" for rate in others),
            )
        self.print("")
        self.console.print(table)
        self.print(
            "\nx: times fp32's speed at the same threads. int8 rounds its activations as it goes (dyn.) or in ranges "
            "that are known (static); 4-bit products have accuracy_level 0 (/0: in float) or 4 (/4: in int8). bf16 "
            "runs through torch, the others through onnxruntime.",
            "dim",
        )

    def artifact(self, name: str, facts: dict[str, Any]) -> None:
        """What it was measured at."""
        threads = facts["threads"]
        latency = {int(count): ms for count, ms in facts["latency_ms"].items()}
        told = [f"{_ms(latency[threads])} on {_count(threads, 'thread')}"]
        told += [f"{_ms(ms)} on {count}" for count, ms in latency.items() if count != threads]
        shares = list(facts["time_by_operator"].items())[:OPERATORS_SHOWN]
        rows = [
            ("latency", ", ".join(told)),
            ("time", ", ".join([f"{op} {share:.0%}" for op, share in shares])),
        ]
        if facts["operations"]:
            rows.insert(1, ("peak", _peak(facts)))
        if facts["rows"]:
            found = facts["rows"]
            rows.append(
                (
                    "rows",
                    f"{found['count']:,}; half have at most {found['median_tokens']} tokens, all {found['max_tokens']}",
                )
            )
        self.print(
            f"\n{printable(name)}: {facts['format']} ({facts['file']}), {facts['sequence_length']} tokens, batch 1"
        )
        self.pairs(rows)

    def findings(self, findings: "Sequence[Finding]", facts: dict[str, Any]) -> None:
        """Each with its evidence and its fix, or that there is none."""
        from rich.table import Table

        from compress.cli.screen import styled

        if not findings:
            self.print(
                f"\nNothing found that makes it slow. {_peak(facts)}" if facts["operations"] else "\nNothing found."
            )
            return
        self.print(f"\n{_count(len(findings), 'finding')}, by the share of the time that its fix could save at most:")
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings:
            cost = "?" if finding.cost is None else f"{finding.cost:.0%}"
            table.add_row(styled((cost, "bold")), styled((finding.what, "bold")))
            table.add_row("", finding.evidence)
            table.add_row("", styled((f"fix: {finding.fix}", "green")))
        self.console.print(table)

    def advice(self, advice: "Sequence[Advice]") -> None:
        """A line or two a topic; warnings first."""
        for item in advice:
            if item.warns:
                self.print(f"warning: {item.text}", "yellow")
        calm = [(item.topic, item.text) for item in advice if not item.warns]
        if calm:
            self.print("")
            self.pairs(calm)
        if calm:
            self.print(
                "\nA model gains less than its products do: compress doctor FOLDER looks at yours, and compress "
                "bench decides.",
                "dim",
            )


def _peak(facts: dict[str, Any]) -> str:
    kinds = ", ".join(f"{kind} {rate:,.0f}" for kind, rate in facts["peak_gflops"].items())
    return (
        f"{facts['share_of_peak']:.0%} of what the arithmetic of {_count(facts['threads'], 'thread')} can do here: "
        f"its products alone need {_ms(facts['floor_ms'])} ({kinds} GFLOP/s)"
    )


def _ms(value: float) -> str:
    return f"{value:.2f} ms" if value < 100 else f"{value:.0f} ms"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
