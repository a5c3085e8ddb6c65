"""The printing of what quantizing did, for a command that measures nothing and so has no report."""

from collections.abc import Sequence
from typing import Any

from compress.answers import Words
from compress.cli.console import stdout
from compress.cli.screen import styled
from compress.facts import Candidate, Choice
from compress.report.quantized import Quantized
from compress.report.quantized_words import agreed_words, change_words, choice_words, kept_words, left_in_float_words
from compress.report.words import POINTS, bracketed


def print_quantized(steps: Sequence[Quantized], answers: Words) -> None:
    """Print a table and a verdict for each step that chose, and a line or two for each other one.

    Args:
        answers: the words for the task's answers.
    """
    from rich.table import Table

    console = stdout()
    lines = Table.grid(padding=(0, 1, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for step in steps:
        if step.choice is not None:
            console.print(_table(step.choice))
            for item in step.choice.candidates:
                if item.reason:
                    console.print(f"{item.name}: {item.reason}", style="yellow")
            about = f"* chosen; change in points, brackets: 95% intervals; {choice_words(step.choice)}"
            console.print(about, style="dim")
            lines.add_row(f"{step.step}:", styled((step.choice.verdict, "bold")))
        for sentence in sentences(step, answers):
            lines.add_row(f"{step.step}:", sentence)
    if lines.row_count:
        console.print(lines)


def sentences(step: Quantized, answers: Words) -> list[str]:
    """Sentences on what a step kept in float and what that changes, as far as the table does not say it."""
    lines = []
    searched = set()
    if step.sensitivity is not None:
        lines.append(f"{kept_words(step.sensitivity)}; {change_words(step.sensitivity)}")
        searched = {layer.name for layer in step.sensitivity.layers}
    if step.choice is None and step.parity is not None:
        lines.append(agreed_words(step.parity, answers, searched=step.sensitivity is not None))
    other_nodes = [name for name in step.left_in_float if name not in searched]
    if other_nodes:
        lines.append(left_in_float_words(step.model_copy(update={"left_in_float": other_nodes})))
    return lines


def _table(choice: Choice) -> Any:
    """The table of the candidates, which fits 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=0)
    for column in ("candidate", "MB", "change", "same", "p50 ms", "faster"):
        is_name = column == "candidate"
        widest: dict[str, Any] = {"min_width": 8, "overflow": "fold"} if is_name else {"no_wrap": True}
        table.add_column(column, justify="left" if is_name else "right", **widest)
    for item in choice.candidates:
        table.add_row(*_cells(item))
    return table


def _cells(item: Candidate) -> list[str]:
    return [
        f"{item.name} *" if item.chosen else item.name,
        "" if item.size_bytes is None else f"{item.size_bytes / 1e6:.2f}",
        bracketed(item.change, POINTS),
        "" if item.agreement is None else f"{item.agreement:.1%}",
        "" if item.latency_ms is None else f"{item.latency_ms:.2f}",
        bracketed(item.faster, ".2f", "x"),
    ]
