"""A run seen from outside while it works: what it is at, and when its lines came."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.faults.small_run import ROOT, Ended, environment

MARKER = "COMPRESS_FAULTS_TRIAL"
"""Environment variable by which a trial's processes are found after their parent is gone."""
PLANNING, REPORTING = "planning", "reporting"
PHASES = {
    PLANNING: ("", "teacher ("),
    "fine-tuning": ("  fine-tuning: ", "✓ teacher "),
    "distilling": ("  distilling: ", "✓ student "),
    "recovering": ("  recovering: ", "✓ pruned "),
    "export": ("onnx (", "✓ onnx "),
    "quantization": ("int8 (", "✓ int8 "),
    "export to measure": ("teacher as onnx (", "✓ student as onnx "),
    "measuring": ("bench (", "✓ bench "),
    REPORTING: ("✓ bench ", ""),
}
"""The small run's phases: beginnings of the line that a phase begins with, and of the line that it ends with."""
_STARTED = re.compile(r"^(\S.*) \((\w+)\) …$")
_DONE = re.compile(r"^✓ (\S.*?) {2,}")
_PROGRESS = re.compile(r"^ {2}(\S.*): (\d+) of (\d+)$")


class Watched:
    """A command whose lines on stderr are kept with the second at which they came."""

    def __init__(self, command: Sequence[str], folder: Path, trial: str) -> None:
        scratch = folder / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        self.trial = f"{trial}-{os.getpid()}"
        self.start = time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self._output = (folder / "stdout").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(**{MARKER: self.trial, "TMPDIR": str(scratch)}),
            stdout=self._output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append((time.monotonic() - self.start, line.rstrip("\n")))

    @property
    def at_work(self) -> str:
        """The step that has begun and is not done, or what the run does before and after the steps."""
        return at_work([line for _, line in self.lines])

    def reaches(self, phase: str) -> bool:
        """Wait until a phase has begun; False if the run ends before."""
        begin = PHASES[phase][0]
        while not any(line.startswith(begin) for _, line in self.lines):
            if not self._reader.is_alive():
                return False
            time.sleep(0.002)
        return True

    def ends_within(self, seconds: float) -> bool:
        """Wait so long; True if it ended by then."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the process itself; its children are left to fend for themselves."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self, seconds: float = 300) -> Ended:
        """Wait for its end and take what it said."""
        code = self.process.wait(seconds)
        took = time.monotonic() - self.start
        self._reader.join(5)
        self._output.seek(0)
        told = Ended(code, took, self._output.read(), "\n".join(line for _, line in self.lines) + "\n")
        self._output.close()
        return told

    def orphans_after(self, seconds: float) -> list[str]:
        """Command lines of this trial's processes that are still there so long after its end; they are ended."""
        return ended_orphans(self.trial, seconds)


def at_work(lines: Sequence[str]) -> str:
    """What a run that has said `lines` is at."""
    now = PLANNING
    for line in lines:
        if (begun := _STARTED.match(line)) is not None:
            now = begun[1]
        elif (done := _DONE.match(line)) is not None:
            now = REPORTING if done[1] == "bench" else f"after {done[1]}"
    return now


def spans(lines: Sequence[tuple[float, str]], end: float) -> dict[str, float]:
    """Seconds that a run was in each of its phases.

    Args:
        end: when it ended, in seconds since its start.
    """
    found = {}
    for name, (begin, until) in PHASES.items():
        begun = 0.0 if not begin else next((second for second, line in lines if line.startswith(begin)), None)
        ended = next((second for second, line in lines if until and line.startswith(until)), end)
        if begun is not None:
            found[name] = round(ended - begun, 3)
    return found


def first_progress(lines: Sequence[str], step: str, work: Sequence[str]) -> tuple[int, int] | None:
    """(done, total) of the first progress that a step tells of one of the kinds of `work`."""
    inside = False
    for line in lines:
        if (started := _STARTED.match(line)) is not None:
            inside = started[1] == step
        elif inside and (told := _PROGRESS.match(line)) is not None and told[1] in work:
            return int(told[2]), int(told[3])
    return None


def ended_orphans(trial: str, seconds: float) -> list[str]:
    """Command lines of a trial's processes that are still there after so many seconds; they are ended."""
    deadline = time.monotonic() + seconds
    while (left := _marked(trial)) and time.monotonic() < deadline:
        time.sleep(0.1)
    told = []
    for process in left:
        try:
            told.append(" ".join(process.cmdline()))
            process.kill()
        except psutil.NoSuchProcess:
            pass  # it ended between two looks
    return told


def _marked(trial: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == trial and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
