"""The output of a run on a terminal: a line for each finished step, a bar for the current work, and the tables."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from compress.answers import metric_title
from compress.cli.baselines_table import baselines_table
from compress.cli.interrupt import Interrupt
from compress.cli.live import LiveLines
from compress.cli.remaining import Remaining, about
from compress.cli.report_table import report_table
from compress.cli.screen import Screen, styled
from compress.cli.search_table import finalists_table, front_table
from compress.report import baselines, search_words
from compress.report.model import Ablation, Report
from compress.report.shown import shown_rows
from compress.report.words import (
    change,
    describe_target,
    headline,
    margin,
    reasons,
    size_words,
    speed_words,
    verdict,
    warnings,
)

MEASURING = "bench"
"""The stage's name while artifacts are measured."""


class Terminal:
    """An observer that draws a run on stderr: bars on a terminal, plain lines elsewhere, nothing with `quiet`.

    Args:
        verbose: also print what the modules log.

    Attributes:
        interrupt: whether Ctrl-C was pressed.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.console = Screen(stderr=True, quiet=quiet)
        self.interrupt = Interrupt()
        self._listeners: list[logging.Handler] = [_Losses(self._on_loss)]
        self._listeners += [_Details(self.console)] if verbose else []
        self._live: LiveLines | None = None
        self._numbers: dict[str, str] = {}
        self._remaining = Remaining({})
        self._search_ends: float | None = None
        self._what, self._last_plain, self._loss = "", 0.0, ""

    def __enter__(self) -> "Terminal":
        if self.console.is_terminal:
            self._live = LiveLines(self.console, self._remaining_text)
            self._live.start()
        for listener in self._listeners:
            logging.getLogger("compress").addHandler(listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self._listeners:
            logging.getLogger("compress").removeHandler(listener)
        if self._live is not None:
            self._live.stop()

    def expect(self, steps: Sequence[str], seconds: Mapping[str, float]) -> None:
        """Take the steps that will be done, and how long they will take.

        Args:
            steps: names of the recipe's steps, in their order.
            seconds: the forecast time of each piece of work that is to do; empty without a forecast.
        """
        if len(steps) > 1:
            self._numbers = {name: f", step {number} of {len(steps)}" for number, name in enumerate(steps, 1)}
        self._remaining = Remaining(seconds)

    def _print(self, line: Any, style: str = "") -> None:
        """Print a line; where there is no terminal, it is not folded."""
        self.console.print(line, style=style, soft_wrap=not self.console.is_terminal)

    def stopping(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.interrupt.is_pressed

    def progress(self, what: str, done: int, total: int) -> None:
        """Move the bar; without a terminal, say so at most every ten seconds."""
        self._remaining.progressed(what, done, total)
        if what != self._what:
            self._loss = ""
        if self._live is not None:
            self._what = what
            self._live.show(what, done, total, self._loss)
            return
        now = time.monotonic()
        if what != self._what or now - self._last_plain > 10:
            self._what, self._last_plain = what, now
            parts = [f"{what}: {done} of {total}", self._loss, self._remaining_text()]
            self._print(f"  {'; '.join(part for part in parts if part)}")

    def _remaining_text(self) -> str:
        seconds = self._remaining.seconds()
        if self._search_ends is not None:
            seconds = self._search_ends - time.monotonic()
            return f"{about(seconds)} left in all" if seconds > 0 else ""
        return "" if seconds is None else f"{about(seconds)} left in all"

    def _on_loss(self, loss: float) -> None:
        self._loss = f"loss {loss:.3f}"

    def step_started(self, name: str, stage: str) -> None:
        """Show the step's name, and its number among the recipe's steps."""
        self._remaining.started(name)
        self._what = self._loss = ""
        number = "" if stage == MEASURING else self._numbers.get(name, "")
        if self._live is not None:
            self._live.begin("measuring" if stage == MEASURING else f"{name}{number}")
        else:
            self._print("measuring …" if stage == MEASURING else f"{name} ({stage}){number} …")

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        """Print one line for a finished step."""
        self._remaining.done(name)
        if self._live is not None:
            self._live.end()
        outcome = f"{seconds:.1f} s" if made else "done before"
        self._print(styled(("✓", "green"), (f" {name:<20} ", ""), (f"{stage:<24} {outcome}", "dim")))

    def candidate(
        self,
        name: str,
        change_pp: float,
        end_to_end_ms: float,
        size_mb: float,
        *,
        is_best: bool,
        seconds_left: float | None,
    ) -> None:
        """Print one line for a candidate of a search, with the time left, where that is known and there is room."""
        self._search_ends = None if seconds_left is None else time.monotonic() + seconds_left
        figures = f" {name:<21} {change_pp:+z6.2f} pp {end_to_end_ms:7.3f} ms {size_mb:6.2f} MB"
        best, left = "  best so far" if is_best else "", ""
        if seconds_left is not None:
            shorter, left = "  best" if is_best else "", f"{', ' if is_best else '  '}{about(seconds_left)} left"
            if self.console.is_terminal and len(f"·{figures}{shorter}{left}") > self.console.width:
                left = ""
            else:
                best = shorter
        self._print(styled(("·", "cyan"), (figures, ""), (best, "green"), (left, "dim")))

    def warned(self, message: str) -> None:
        """Print a line that stands out."""
        self._print(styled(("warning:", "yellow"), (f" {message}", "")))

    def announce(self, message: str) -> None:
        """Print a line before slow work whose end is not known, such as a download; on a terminal, with a bar."""
        self._print(f"{message} …", style="dim")
        if self._live is not None:
            self._live.wait()


class OnlyBars:
    """An observer that draws only the bar of the current work; without a terminal, nothing."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._step = ""

    def progress(self, what: str, done: int, total: int) -> None:
        """Move the bar."""
        if self._terminal.console.is_terminal:
            self._terminal.progress(f"{self._step}: {what}", done, total)

    def step_started(self, name: str, stage: str) -> None:
        """Take the step's name for the bars that follow."""
        del stage
        self._step = name

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        """Do nothing."""

    def warned(self, message: str) -> None:
        """Print a line that stands out."""
        self._terminal.warned(message)

    def stopping(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._terminal.stopping()


class _Losses(logging.Handler):
    """A log handler that takes the training loss out of a training's log records."""

    def __init__(self, hear: Callable[[float], None]) -> None:
        super().__init__()
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        loss = getattr(record, "loss", None)
        if isinstance(loss, float):
            self._hear(loss)


class _Details(logging.Handler):
    """A log handler that prints what modules log, as dim lines, without what the terminal draws anyway."""

    def __init__(self, console: Screen) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "compress.running.journal":
            self._console.print(f"  {record.getMessage()}", style="dim")


def stdout() -> Screen:
    """A console for results: as wide as the terminal, 120 columns where there is none."""
    return Screen(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 120)


def print_report(report: Report) -> None:
    """Print the tables and the verdict on stdout."""
    console = stdout()
    _print_search(report, console)
    for target in report.targets:
        rows = shown_rows(report, target)
        alike = {(row.status, row.reason) for row in rows}
        if len(alike) == 1 < len(rows) and rows[0].reason:
            console.print(f"{describe_target(report, target)}: {rows[0].status}: {rows[0].reason}", style="yellow")
            continue
        console.print(report_table(report, target, console.width))
        for reason in reasons(rows):
            console.print(f"  {reason}", style="yellow")
    for ablation in report.ablations:
        console.print(_ablation_line(ablation))
    _print_baselines(report, console)
    metric = metric_title(report.test.metric)
    console.print(
        f"* baseline. score: {metric} on {report.task['test_rows']:,} test rows; change in points; "
        f"{_no_worse(report)}brackets: 95% intervals; "
        "end to end: with the tokenizer, on texts of their own length",
        style="dim",
    )
    for note in report.notes:
        console.print(f"note: {note}", style="dim")
    for warning in warnings(report):
        console.print(f"warning: {warning}", style="yellow")
    for step in report.rounded:
        if step.choice is not None:
            console.print(f"{step.step}: {step.choice.verdict}")
    for sentence in search_words.result(report):
        console.print(sentence, style="bold")
    for sentence in headline(report):
        console.print(sentence)
    for sentence in baselines.verdicts(report):
        console.print(sentence, style="bold")
    if report.goal.met is not None:
        console.print(verdict(report), style="bold green" if report.goal.met else "bold red")


def _print_search(report: Report, console: Screen) -> None:
    """Print how the search went, the front, and the finalists with the reasons why they are not proved."""
    search = report.search
    if search is None:
        return
    for table in (front_table(search, console.width), finalists_table(search, console.width)):
        if table is not None:
            console.print(table)
    for finalist in search.selection.finalists:
        if finalist.verdict != "proved":
            reason = search_words.why(finalist, search.selection.rows)
            console.print(f"  {finalist.name} {finalist.verdict}: {reason}", style="yellow")
    sure = search_words.confidence(search)
    console.print(f"at least: {sure}, one-sided; brackets: 95% intervals, two-sided", style="dim")
    for line in search_words.about(search):
        console.print(line, style="dim")


def _print_baselines(report: Report, console: Screen) -> None:
    """Print the table of the simple baselines, and why some have no figures."""
    table = baselines_table(report, console.width)
    if table is not None:
        console.print(table)
    for reason in baselines.reasons(report):
        console.print(f"  {reason}", style="yellow")


def _no_worse(report: Report) -> str:
    """The words for the margin up to which the tables call a model `no worse`."""
    margins = {row.versus_baseline.margin_pp for row in report.rows if row.versus_baseline}
    return f"no worse: by less than {margin(margins.pop())}; " if len(margins) == 1 else ""


def _ablation_line(ablation: Ablation) -> str:
    if ablation.worth is None:
        return f"  without {ablation.step}: {ablation.reason}"
    return (
        f"  {ablation.step} on {ablation.target}, the chain with it against without: {speed_words(ablation.worth)}; "
        f"{size_words(ablation.worth)}; {change(ablation.worth)} points ({ablation.worth.quality_verdict})"
    )
