"""What a person sees of a run: a line for each finished step, a bar for the work going on, and the table."""

import sys
import time
from types import TracebackType
from typing import Any

from rich.markup import escape

from compress.report.build import Report
from compress.report.markdown import COLUMNS, cells, describe_target, reasons, rows_of, verdict


class Terminal:
    """Draws a run on stderr: bars on a terminal, plain lines elsewhere; nothing with `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bars: Any = None
        self._task: Any = None
        self._what = ""
        self._last_plain = 0.0

    def __enter__(self) -> "Terminal":
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        if self.console.is_terminal:
            self._bars = Progress(
                TextColumn("  {task.description}"),
                BarColumn(bar_width=30),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

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
                self._task, self._what = self._bars.add_task(what, total=total), what
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
        self.console.print(f"[green]✓[/] {name:<20} [dim]{stage:<24} {told}[/]")

    def warned(self, message: str) -> None:
        """A line that stands out."""
        self.console.print(f"[yellow]warning:[/] {escape(message)}")

    def announce(self, message: str) -> None:
        """A line before something slow whose end is not known, such as a download; on a terminal, with a bar."""
        self.console.print(f"[dim]{escape(message)} …[/]")
        if self._bars is not None:
            self._drop_bar()
            self._task, self._what = self._bars.add_task("", total=None), message


def print_report(report: Report) -> None:
    """The tables and the verdict, on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    for target in report.targets:
        rows, baseline = rows_of(report, target)
        table = Table(box=SIMPLE_HEAD, title=describe_target(report, target), title_justify="left", pad_edge=False)
        for index, column in enumerate(COLUMNS):
            table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
        for row in rows:
            name, *rest = cells(row, baseline)
            table.add_row(f"{name} *" if row.is_baseline and row.step == report.baseline else name, *rest)
        console.print(table)
        for reason in reasons(rows):
            console.print(f"  {reason}", style="yellow", markup=False)
    metric = "macro F1" if report.task["metric"] == "f1_macro" else report.task["metric"]
    console.print(
        f"[dim]* baseline, in fp32. score: {metric} on {report.task['test_rows']:,} test rows; drop in points.[/]"
    )
    for note in report.notes:
        console.print(f"note: {note}", style="dim", markup=False)
    colour = {True: "bold green", False: "bold red", None: "dim"}[report.goal["met"]]
    console.print(verdict(report), style=colour, markup=False)
