"""A worker process, seen from its parent: lines of JSON to it and back."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

Status = Literal["measured", "skipped", "failed"]

MEANINGS = {
    4: ": illegal instruction",
    6: ": aborted",
    7: ": bus error",
    9: ": often for want of memory",
    11: ": segmentation fault",
}


class WorkerProcess:
    """A process that is asked, sleeps until then, and may die at any time.

    Attributes:
        status: `measured` as long as it lives and answers; else why nothing more is to be had is in `reason`.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.status: Status = "measured"
        self.reason: str | None = None
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0,  # Ctrl-C on the terminal is for the parent to answer
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ask(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """Send a command and sleep until its answer; None if the process gives up, or is dead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self.status != "measured":
            return None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # why it went is in its last answer, or in its end
        line = self._process.stdout.readline()
        if not line.endswith("\n"):  # it died before its answer, or in the middle of it
            self._died()
            return None
        answer: dict[str, Any] = json.loads(line)
        for status in ("skipped", "failed"):
            if status in answer:
                self.status, self.reason = status, answer[status]
                return None
        return answer

    def end(self) -> None:
        """Stop it, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _died(self) -> None:
        code = self._process.wait()
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1][:300] if lines else "no message"
        self.status = "failed"
        self.reason = f"killed by signal {-code}{MEANINGS.get(-code, '')}" if code < 0 else f"exit code {code}: {last}"
