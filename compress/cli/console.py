"""What a person sees of a run: a line for each finished step, a bar for the work going on, and the table."""

import logging
import os
import sys
import time
from types import TracebackType
from typing import Any

from compress.cli.interrupt import Interrupt
from compress.cli.report_table import report_table
from compress.cli.screen import Screen, styled
from compress.errors import printable
from compress.report.model import Ablation, Report
from compress.report.shown import shown_rows
from compress.report.words import (
    METRICS,
    change,
    headline,
    margin,
    reasons,
    size_words,
    speed_words,
    verdict,
    warnings,
)

WIDE = 110
"""Columns of a terminal from which on the table holds all."""
REFRESH_PER_SECOND = 1
"""How often the bar is drawn anew between two steps of the work: drawing costs time that is being measured."""


class Terminal:
    """Draws a run on stderr: bars on a terminal, plain lines elsewhere; nothing with `quiet`.

    Args:
        verbose: also what the modules log of their work.

    Attributes:
        interrupt: whether Ctrl-C was pressed.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.console = Screen(stderr=True, quiet=quiet)
        self.interrupt = Interrupt()
        self._details = _Details(self.console) if verbose else None
        self._bars: Any = None
        self._task: Any = None
        self._what = ""
        self._last_plain = 0.0

    def __enter__(self) -> "Terminal":
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        if self.console.is_terminal:
            self._bars = Progress(
                TextColumn("  {task.description}", markup=False),
                BarColumn(bar_width=30),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
                refresh_per_second=REFRESH_PER_SECOND,
            )
            self._bars.start()
        if self._details is not None:
            logging.getLogger("compress").addHandler(self._details)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._details is not None:
            logging.getLogger("compress").removeHandler(self._details)
        if self._bars is not None:
            self._bars.stop()

    def _print(self, line: Any, style: str = "") -> None:
        """A line; what reads it elsewhere than on a terminal gets it in one piece."""
        self.console.print(line, style=style, soft_wrap=not self.console.is_terminal)

    def stopping(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.interrupt.asked

    def progress(self, what: str, done: int, total: int) -> None:
        """Move the bar; without a terminal, say so at most every ten seconds."""
        if self._bars is not None:
            self._draw(what, done, total)
            return
        now = time.monotonic()
        if what != self._what or now - self._last_plain > 10:
            self._what, self._last_plain = what, now
            self.console.print(f"  {what}: {done} of {total}")

    def _draw(self, what: str, done: int, total: int) -> None:
        """Show one bar at a time, and none once its work is done."""
        if what != self._what or done >= total:
            self._drop_bar()
        if done < total:
            if self._task is None:
                self._task, self._what = self._bars.add_task(printable(what), total=total), what
            self._bars.update(self._task, completed=done, total=total)

    def _drop_bar(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None

    def step_started(self, name: str, stage: str) -> None:
        """Nothing to draw yet: the first progress opens the bar."""
        if self._bars is None:
            self.console.print(f"{name} ({stage}) …")

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        """One line for a finished step."""
        self._drop_bar()
        told = f"{seconds:.1f} s" if made else "done before"
        self.console.print(styled(("✓", "green"), (f" {name:<20} ", ""), (f"{stage:<24} {told}", "dim")))

    def warned(self, message: str) -> None:
        """A line that stands out."""
        self._print(styled(("warning:", "yellow"), (f" {message}", "")))

    def announce(self, message: str) -> None:
        """A line before something slow whose end is not known, such as a download; on a terminal, with a bar."""
        self.console.print(f"{message} …", style="dim")
        if self._bars is not None:
            self._drop_bar()
            self._task, self._what = self._bars.add_task("", total=None), message


class OnlyBars:
    """Draws of a run what is at work, and leaves no line behind; without a terminal, nothing."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._step = ""

    def progress(self, what: str, done: int, total: int) -> None:
        """Move the bar."""
        if self._terminal.console.is_terminal:
            self._terminal.progress(f"{self._step}: {what}", done, total)

    def step_started(self, name: str, stage: str) -> None:
        """Name the step in the bars to come."""
        del stage
        self._step = name

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        """Nothing to say."""

    def warned(self, message: str) -> None:
        """A line that stands out."""
        self._terminal.warned(message)

    def stopping(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._terminal.stopping()


class _Details(logging.Handler):
    """What modules log of their work, as dim lines; what the terminal draws anyway is left out."""

    def __init__(self, console: Screen) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "compress.journal":
            self._console.print(f"  {record.getMessage()}", style="dim")


def stdout() -> Screen:
    """A console for results: as wide as the terminal, 120 columns where there is none."""
    return Screen(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 120)


def print_report(report: Report) -> None:
    """The tables and the verdict, on stdout."""
    console = stdout()
    for target in report.targets:
        console.print(report_table(report, target, wide=console.width >= WIDE))
        for reason in reasons(shown_rows(report, target)):
            console.print(f"  {reason}", style="yellow")
    for ablation in report.ablations:
        console.print(_ablation_line(ablation))
    metric = METRICS.get(report.test.metric, report.test.metric)
    console.print(
        f"* baseline. score: {metric} on {report.task['test_rows']:,} test rows; change in points; "
        f"{_no_worse(report) if console.width >= WIDE else ''}brackets: 95% intervals; "
        "end to end: with the tokenizer, on texts of their own length",
        style="dim",
    )
    for note in report.notes:
        console.print(f"note: {note}", style="dim")
    for warning in warnings(report):
        console.print(f"warning: {warning}", style="yellow")
    for found in report.rounded:
        if found.choice is not None:
            console.print(f"{found.step}: {found.choice.verdict}")
    for sentence in headline(report):
        console.print(sentence)
    if report.goal.met is not None:
        console.print(verdict(report), style="bold green" if report.goal.met else "bold red")


def _no_worse(report: Report) -> str:
    """By how much less a verdict of the table is still `no worse`."""
    margins = {row.versus_baseline.margin_pp for row in report.rows if row.versus_baseline}
    return f"no worse: by less than {margin(margins.pop())}; " if len(margins) == 1 else ""


def _ablation_line(found: Ablation) -> str:
    if found.worth is None:
        return f"  without {found.step}: {found.reason}"
    return (
        f"  {found.step} on {found.target}, the chain with it against without: {speed_words(found.worth)}; "
        f"{size_words(found.worth)}; {change(found.worth)} points ({found.worth.quality_verdict})"
    )
