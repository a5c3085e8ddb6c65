"""The output of `compress doctor` on a terminal."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from compress.errors import printable

if TYPE_CHECKING:
    from compress.doctor.advice import Advice, Finding
    from compress.doctor.examined import Examined
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


def show(artifact: str | None, machine: "Machine", examined: "Examined | None") -> None:
    """Print the machine's facts, what it can win, and why an artifact is not faster."""
    from compress.doctor.advice import advise

    screen = _Screen()
    screen.machine(machine)
    screen.advice(advise(machine))
    if examined is not None:
        screen.artifact(str(artifact), examined.facts)
        screen.findings(examined.findings, examined.facts)


class _Screen:
    """The printer of facts and findings on stdout."""

    def __init__(self) -> None:
        from compress.cli.screen import Screen

        self.console = Screen(width=None if sys.stdout.isatty() else WIDTH)

    def print(self, text: str, style: str = "") -> None:
        """Print paragraphs."""
        for line in text.split("\n"):
            self.console.print(line, style=style)

    def pairs(self, rows: Sequence[tuple[str, str]], style: str = "") -> None:
        """Print terms and their explanations in two columns."""
        from rich.table import Table

        from compress.cli.screen import styled

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
        for word, text in rows:
            table.add_row(word, styled((text, style)))
        self.console.print(table)

    def machine(self, machine: "Machine") -> None:
        """Print one line of facts, and the table of rates where there are any."""
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
        rates = {rate[:5]: rate for rate in machine.rates}
        for kind, tokens, inputs, outputs, threads in [key for key in rates if key[0] == "fp32"]:
            shape = (tokens, inputs, outputs, threads)
            others = [rates.get((name, *shape)) for name in COLUMNS]
            table.add_row(
                str(threads),
                str(tokens),
                f"{inputs}x{outputs}",
                f"{rates[kind, *shape].gflops:.0f}",
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
        """Print what was measured of an artifact."""
        threads = facts["threads"]
        latency = {int(count): ms for count, ms in facts["latency_ms"].items()}
        latencies = [f"{_ms(latency[threads])} on {_count(threads, 'thread')}"]
        latencies += [f"{_ms(ms)} on {count}" for count, ms in latency.items() if count != threads]
        shares = list(facts["time_by_operator"].items())[:OPERATORS_SHOWN]
        rows = [
            ("latency", ", ".join(latencies)),
            ("time", ", ".join([f"{op} {share:.0%}" for op, share in shares])),
        ]
        if facts["operations"]:
            rows.insert(1, ("peak", _peak(facts)))
        if facts["rows"]:
            sizes = facts["rows"]
            rows.append(
                (
                    "rows",
                    f"{sizes['count']:,}; half have at most {sizes['median_tokens']} tokens, all {sizes['max_tokens']}",
                )
            )
        self.print(
            f"\n{printable(name)}: {facts['format']} ({facts['file']}), {facts['sequence_length']} tokens, batch 1"
        )
        self.pairs(rows)

    def findings(self, findings: "Sequence[Finding]", facts: dict[str, Any]) -> None:
        """Print each finding with its evidence and its fix, or that there is none."""
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
        """Print a line or two for each topic, warnings first."""
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
