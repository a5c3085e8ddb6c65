"""A worker process, seen from its parent: what it is asked, and why there is no more to be had from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from compress.processes.child import ALIVE_SECONDS, Child, ChildError

Status = Literal["measured", "skipped", "failed"]

CALL_SECONDS = 120.0
STARTING = 5
"""Loading a model, and compiling it, may take so many times what a call may."""


class WorkerProcess:
    """A process that is asked, sleeps until then, and may die at any time, or be stopped at a limit.

    Args:
        command: of a Python process.
        log: what it prints.
        max_call_s: seconds that one call of its model may take.

    Attributes:
        status: `measured` as long as it lives and answers; else why nothing more is to be had is in `reason`.
    """

    def __init__(self, command: Sequence[str], log: Path, max_call_s: float = CALL_SECONDS) -> None:
        self.status: Status = "measured"
        self.reason: str | None = None
        self._max_call_s = max_call_s
        self._child = Child(command, log)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    def ask(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """Send a command and sleep until its answer; None if the process gives up, or is dead."""
        if self.status != "measured":
            return None
        limit = self._max_call_s + ALIVE_SECONDS  # it says no more often than this that it is alive
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
        """Stop it, whatever it does."""
        self._child.end()
