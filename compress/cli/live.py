"""The last lines of a terminal while work goes on: the step, its bar, its loss, and what is left."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from compress.cli.screen import styled
from compress.errors import printable

if TYPE_CHECKING:
    from compress.cli.screen import Screen

REFRESH_PER_SECOND = 1
"""How often they are drawn anew between two steps of the work: drawing costs time that is being measured."""


class LiveLines(Progress):
    """A line that names the step, and one with the bar of what it does; both vanish when they end.

    Args:
        whole: what is to be said of the whole run, asked whenever the lines are drawn; may be empty.
    """

    def __init__(self, console: "Screen", whole: Callable[[], str]) -> None:
        self._step, self._what, self._whole = "", "", whole
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
        """The line of the step above the bar."""
        if self._step:
            left = self._whole()
            yield styled((self._step, "bold"), (f"; {left}" if left else "", ""))
        if self.tasks:
            yield self.make_tasks_table(self.tasks)

    def begin(self, step: str) -> None:
        """A step begins; nothing is known yet of how far it is."""
        self._step = step
        self.wait()

    def wait(self) -> None:
        """A bar that only moves."""
        self._drop()
        self._what = ""
        self._bar = self.add_task("", total=None, loss="")

    def show(self, what: str, done: int, total: int, loss: str) -> None:
        """One bar at a time, and none once its work is done."""
        if what != self._what or done >= total:
            self._drop()
        if done < total:
            if self._bar is None:
                self._bar, self._what = self.add_task(printable(what), total=total, loss=""), what
            self.update(self._bar, completed=done, total=total, loss=loss)

    def end(self) -> None:
        """The step is done."""
        self._step = ""
        self._drop()

    def _drop(self) -> None:
        if self._bar is not None:
            self.remove_task(self._bar)
            self._bar = None
