"""Processes of our own: the one place that starts them, asks them, and bounds them.

Such a process ends with the one that started it, on every way out of that, and also while it starts; it imports nothing
from the current folder. It answers in lines of JSON. Between answers it gives signs of life; without one for too long,
or with too much memory, it is stopped.
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
"""The line that a process writes to say that it goes on."""
ALIVE_SECONDS = 5.0
"""How far signs of life are apart, at the least: rare enough to disturb nothing that is timed."""
LOOK_SECONDS = 0.25
"""How often the memory of a process is looked at."""
MEMORY_SHARE = 0.8
"""Of the memory that is free when a process starts, how much it may take."""


class ChildError(CompressError):
    """The process died, or was stopped at a limit."""


def start(command: Sequence[str], *, pass_fds: Sequence[int] = (), **options: Any) -> "subprocess.Popen[bytes]":
    """Start Python so that it ends with this process, and does not hear a terminal's Ctrl-C, which its parent answers.

    Args:
        command: `sys.executable -P`, then a module (`-m NAME`) or a file, and its arguments.
        pass_fds: open files that it takes over under their numbers.
        options: of subprocess.Popen.
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
    """Run such a process to its end, and take what it prints.

    Raises:
        subprocess.TimeoutExpired: it took longer; it is ended.
    """
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(command, **pipes)
    try:
        printed, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
        process.wait()
    told = (text.decode(errors="replace") for text in (printed, errors))
    return subprocess.CompletedProcess(command, process.returncode, *told)


class Child:
    """A process that is told and asked in lines of JSON.

    Args:
        command: see `start`.
        log: where what it prints goes. Left out: a temporary file.
        memory_bytes: that it may take; left out, a share of what is free.
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
        """Its number."""
        return self._process.pid

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send it a line; why it could not be sent is in its next answer, or in its end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self, seconds: float, first: float | None = None) -> dict[str, Any]:
        """Sleep until its next answer.

        Args:
            seconds: that may pass without a sign of life.
            first: as many until the first one, where that takes longer.

        Raises:
            ChildError: it died, or was stopped at a limit; it is no more.
        """
        answer: dict[str, Any] = json.loads(self._line(seconds if first is None else first))
        while answer == ALIVE:
            answer = json.loads(self._line(seconds))
        return answer

    def ask(self, message: Mapping[str, Any], seconds: float, first: float | None = None) -> dict[str, Any]:
        """`tell`, then `answer`."""
        self.tell(message)
        return self.answer(seconds, first)

    def end(self) -> None:
        """Stop it, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _line(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._left:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._stopped(f"stopped: no answer for {seconds:.0f} s")
            if self._ready.poll(1000 * min(left, LOOK_SECONDS)):
                read = os.read(self._stdout.fileno(), 1 << 16)
                if not read:  # it died before its answer, or in the middle of it
                    raise ChildError(self._death())
                self._left += read
            self._look()
        line, _, self._left = self._left.partition(b"\n")
        return line

    def _look(self) -> None:
        with suppress(psutil.Error):  # it may be gone; its last words say why
            if (taken := psutil.Process(self.pid).memory_info().rss) > self.memory_bytes:
                raise self._stopped(
                    f"stopped: it had taken {taken / 1e9:.1f} GB of memory, and may take {self.memory_bytes / 1e9:.1f}"
                )

    def _stopped(self, reason: str) -> ChildError:
        self._process.kill()
        self._process.wait()
        return ChildError(reason)

    def _death(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        return how_it_died(code, self._errors.read().decode(errors="replace"))


def how_it_died(code: int, said: str) -> str:
    """What a process's end means.

    Args:
        code: its exit code; negative for a signal.
        said: all that it printed.
    """
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "no message")[:300]
    return f"killed by signal {-code}{MEANINGS.get(-code, '')}" if code < 0 else f"exit code {code}: {last}"


class SignsOfLife:
    """Tells the parent that this process goes on, no more often than every `ALIVE_SECONDS`.

    Args:
        answer: writes a line.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer, self._last = answer, time.monotonic()

    def give(self) -> None:
        """After each piece of work that is bounded."""
        if time.monotonic() - self._last >= ALIVE_SECONDS:
            self.give_at_once()

    def give_at_once(self) -> None:
        """After a piece that takes its time."""
        self._answer(ALIVE)
        self._last = time.monotonic()


def to_parent() -> TextIO:
    """In such a process: where answers go. What libraries print goes to where errors go, and does not mix with them."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def from_parent() -> tuple[dict[str, Any], Answer]:
    """In such a process: the first message that its parent sends, which is the job, and what writes an answer."""
    answer = answering(to_parent())
    return json.loads(sys.stdin.readline()), answer


def answering(answers: TextIO) -> Answer:
    """What writes an answer."""

    def answer(value: Mapping[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    return answer
