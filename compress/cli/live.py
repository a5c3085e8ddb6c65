"""The last lines of a terminal while work goes on: the step, its bar, its loss, and the time left."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from compress.cli.screen import styled
from compress.errors import printable

if TYPE_CHECKING:
    from compress.cli.screen import Screen

REFRESH_PER_SECOND = 1
"""How often a second the lines are drawn; drawing takes time from what is being measured."""


class LiveLines(Progress):
    """Two lines: the name of the step, and the bar of its current work; both vanish when they end.

    Args:
        remaining: gives the text on the time left of the whole run, whenever the lines are drawn; may be empty.
    """

    def __init__(self, console: "Screen", remaining: Callable[[], str]) -> None:
        self._step, self._what, self._remaining = "", "", remaining
        self._bar: Any = None
        super().__init__(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            TextColumn("{task.fields[loss]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=REFRESH_PER_SECOND,
        )

    def get_renderables(self) -> Iterable[Any]:
        """The step's line and the bar below it."""
        if self._step:
            text = self._remaining()
            yield styled((self._step, "bold"), (f"; {text}" if text else "", ""))
        if self.tasks:
            yield self.make_tasks_table(self.tasks)

    def begin(self, step: str) -> None:
        """Show that a step begins; how far it is is not known yet."""
        self._step = step
        self.wait()

    def wait(self) -> None:
        """Show a bar that only moves."""
        self._drop()
        self._what = ""
        self._bar = self.add_task("", total=None, loss="")

    def show(self, what: str, done: int, total: int, loss: str) -> None:
        """Show one bar at a time, and none once its work is done."""
        if what != self._what or done >= total:
            self._drop()
        if done < total:
            if self._bar is None:
                self._bar, self._what = self.add_task(printable(what), total=total, loss=""), what
            self.update(self._bar, completed=done, total=total, loss=loss)

    def end(self) -> None:
        """Remove the lines, since the step is done."""
        self._step = ""
        self._drop()

    def _drop(self) -> None:
        if self._bar is not None:
            self.remove_task(self._bar)
            self._bar = None
