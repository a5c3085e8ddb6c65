"""Child processes: the one place that starts them, sends them messages, and limits them.

A child ends with its parent, however the parent ends, and imports nothing from the current folder. It answers in lines
of JSON, and gives signs of life between answers. Without one for too long, or with too much memory, it is stopped.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TextIO

import psutil

from compress.errors import CompressError
from compress.processes.lifeline import NO_PIPE
from compress.processes.memory import free_memory

MEANINGS = {
    4: ": illegal instruction",
    6: ": aborted",
    7: ": bus error",
    9: ": often for want of memory",
    11: ": segmentation fault",
}
Answer = Callable[[Mapping[str, Any]], None]
ALIVE: Mapping[str, Any] = {"alive": True}
"""The sign of life: a line that says that the child still works."""
ALIVE_SECONDS = 5.0
"""Fewest seconds between signs of life: rare enough not to disturb timings."""
LOOK_SECONDS = 0.25
"""Seconds between looks at the memory of a child."""
MEMORY_SHARE = 0.8
"""Share of the free memory at its start that a child may use."""


class ChildError(CompressError):
    """The error of a child that died, or was stopped at a limit."""


def start(command: Sequence[str], *, pass_fds: Sequence[int] = (), **options: Any) -> "subprocess.Popen[bytes]":
    """Start Python in a child that ends with this process; a terminal's Ctrl-C reaches only the parent.

    Args:
        command: `sys.executable -P`, then a module (`-m NAME`) or a file, and its arguments.
        pass_fds: numbers of open files that the child inherits.
        options: further arguments of subprocess.Popen.
    """
    python, safe_path, *rest = command
    assert safe_path == "-P", "nothing may be imported from the current folder"
    head = [python, "-P", "-m", "compress.processes.lifeline", str(os.getpid())]
    options = {"env": {**os.environ, "PYTHONSAFEPATH": "1"}, "process_group": 0, **options}
    if sys.platform == "linux" and threading.current_thread() is threading.main_thread():
        return subprocess.Popen([*head, str(NO_PIPE), *rest], pass_fds=pass_fds, **options)
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen([*head, str(theirs), *rest], pass_fds=(*pass_fds, theirs), **options)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    weakref.finalize(process, os.close, ours)
    return process


def run(command: Sequence[str], seconds: float | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a child to its end, and return its exit code and output.

    Raises:
        subprocess.TimeoutExpired: the child took longer, and was ended.
    """
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(command, **pipes)
    try:
        printed, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
        process.wait()
    texts = (text.decode(errors="replace") for text in (printed, errors))
    return subprocess.CompletedProcess(command, process.returncode, *texts)


class Child:
    """A child process with which this one exchanges lines of JSON.

    Args:
        command: the command, as for `start`.
        log: the file for its other output; None for a temporary file.
        memory_bytes: memory that it may use; None for a share of what is free.
    """

    def __init__(self, command: Sequence[str], log: Path | None = None, memory_bytes: int | None = None) -> None:
        self.memory_bytes = int(MEMORY_SHARE * free_memory()) if memory_bytes is None else memory_bytes
        self._errors: Any = tempfile.TemporaryFile() if log is None else log.open("w+b")  # noqa: SIM115
        self._left = b""
        try:
            self._process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        except BaseException:
            self._errors.close()
            raise
        assert self._process.stdout is not None
        self._stdout = self._process.stdout
        self._ready = select.poll()
        self._ready.register(self._stdout, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message; if the child is dead, the next `answer` raises the error."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self, seconds: float, first: float | None = None) -> dict[str, Any]:
        """The child's next answer; this waits for it.

        Args:
            seconds: seconds that may pass without a sign of life.
            first: seconds until the first sign of life, if it may take longer.

        Raises:
            ChildError: the child died, or was stopped at a limit.
        """
        answer: dict[str, Any] = json.loads(self._line(seconds if first is None else first))
        while answer == ALIVE:
            answer = json.loads(self._line(seconds))
        return answer

    def ask(self, message: Mapping[str, Any], seconds: float, first: float | None = None) -> dict[str, Any]:
        """The answer to a message: `tell`, then `answer`."""
        self.tell(message)
        return self.answer(seconds, first)

    def end(self) -> None:
        """Stop the child, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _line(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._left:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._stopped(f"stopped: no answer for {seconds:.0f} s")
            if self._ready.poll(1000 * min(remaining, LOOK_SECONDS)):
                chunk = os.read(self._stdout.fileno(), 1 << 16)
                if not chunk:  # the child died before its answer was complete
                    raise ChildError(self._death())
                self._left += chunk
            self._look()
        line, _, self._left = self._left.partition(b"\n")
        return line

    def _look(self) -> None:
        with suppress(psutil.Error):  # the child may be dead; its output says why
            if (used_bytes := psutil.Process(self.pid).memory_info().rss) > self.memory_bytes:
                raise self._stopped(
                    f"stopped: it had taken {used_bytes / 1e9:.1f} GB of memory, "
                    f"and may take {self.memory_bytes / 1e9:.1f}"
                )

    def _stopped(self, reason: str) -> ChildError:
        self._process.kill()
        self._process.wait()
        return ChildError(reason)

    def _death(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        return how_it_died(code, self._errors.read().decode(errors="replace"))


def how_it_died(code: int, output: str) -> str:
    """A description of a process's end.

    Args:
        code: the exit code; negative for a signal.
        output: all that the process printed.
    """
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "no message")[:300]
    return f"killed by signal {-code}{MEANINGS.get(-code, '')}" if code < 0 else f"exit code {code}: {last}"


class SignsOfLife:
    """The sender of signs of life to the parent, at most one every `ALIVE_SECONDS`.

    Args:
        answer: sends a line to the parent.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer, self._last = answer, time.monotonic()

    def give(self) -> None:
        """Send a sign of life if it is time; to be called after each piece of work with a time limit."""
        if time.monotonic() - self._last >= ALIVE_SECONDS:
            self.give_now()

    def give_now(self) -> None:
        """Send a sign of life now; to be called after a long piece of work."""
        self._answer(ALIVE)
        self._last = time.monotonic()


def to_parent() -> TextIO:
    """The stream for answers, in a child; what libraries print goes to standard error instead."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def from_parent() -> tuple[dict[str, Any], Answer]:
    """The first message from the parent, which is the job, and the function that answers; for use in a child."""
    answer = answering(to_parent())
    return json.loads(sys.stdin.readline()), answer


def answering(answers: TextIO) -> Answer:
    """A function that writes an answer as a line of JSON."""

    def answer(value: Mapping[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    return answer
