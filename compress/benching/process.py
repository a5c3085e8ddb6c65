"""A worker process as its parent sees it: it answers commands, until it fails or gives up."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from compress.processes.child import ALIVE_SECONDS, Child, ChildError

Status = Literal["measured", "skipped", "failed"]

CALL_SECONDS = 120.0
STARTING = 5
"""Loading and compiling a model may take so many times as long as a call."""


class WorkerProcess:
    """A process that sleeps until it gets a command. It may die at any time, and is stopped at a time limit.

    Args:
        command: the command that starts the Python process.
        log: the file for what it prints.
        max_call_s: the most seconds that one call of its model may take.

    Attributes:
        status: `measured` as long as it lives and answers.
        reason: why it answers no more; None as long as it does.
    """

    def __init__(self, command: Sequence[str], log: Path, max_call_s: float = CALL_SECONDS) -> None:
        self.status: Status = "measured"
        self.reason: str | None = None
        self._max_call_s = max_call_s
        self._child = Child(command, log)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    def ask(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """Send a command and sleep until its answer; None if the process gives up, or is dead."""
        if self.status != "measured":
            return None
        limit = self._max_call_s + ALIVE_SECONDS  # the time between two signs of life
        loads = command.get("do") in {None, "flops"}
        try:
            answer = self._child.ask(command, limit, STARTING * limit if loads else None)
        except ChildError as error:
            self.status, self.reason = "failed", error.what
            return None
        for status in ("skipped", "failed"):
            if status in answer:
                self.status, self.reason = status, answer[status]
                return None
        return answer

    def end(self) -> None:
        """Stop the process, whatever it does."""
        self._child.end()
