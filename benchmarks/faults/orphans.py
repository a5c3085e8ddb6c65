"""Signals at random moments of commands that start processes: none may live on."""

import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil

from benchmarks.faults.hostile_graphs import PLAIN, QUICK, endless, write_graph
from benchmarks.faults.small_run import NAME, write_small_run
from benchmarks.faults.trials import Kept, Record, run_trials
from benchmarks.faults.watched import MARKER, Watched

SIGNALS = 40
IN_TURN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
COMMANDS = ("bench", "run", "plan", "doctor")
AFTER_SECONDS = 20.0
"""How long processes may live on after their command."""
END_SECONDS = 120.0
"""In which a command ends after its signal: the first Ctrl-C waits for a safe point."""
AT_START_SECONDS = 0.4
"""Within which of a child's start every second signal falls."""


def orphan_trials(count: int, folder: Path, kept: Kept, seed: int = 0) -> list[Record]:
    """Send so many signals: in turn each signal, each command, anywhere or while a process of it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and hand that on
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    write_small_run(folder / "small", train_rows=96, hidden=32)
    write_graph(folder / "well", PLAIN)
    write_graph(folder / "endless", endless())
    seconds = {name: _undisturbed(name, folder) for name in COMMANDS}
    draw = random.Random(seed)
    trials = []
    for number in range(count):
        name = COMMANDS[number // len(IN_TURN) % len(COMMANDS)]
        at_start = (number + number // len(IN_TURN)) % 2 == 0
        moment = draw.random() * (AT_START_SECONDS if at_start else seconds[name])
        trials.append(partial(_trial, number, name, IN_TURN[number % len(IN_TURN)], moment, at_start, folder))
    return run_trials("orphan", trials, kept)


def _command(name: str, folder: Path, own: Path, *, hangs: bool = False) -> list[str]:
    small = folder / "small"
    graph = str(folder / ("endless" if hangs else "well"))
    arguments = {
        "bench": [graph, str(folder / "well"), "--data", str(small / "test.csv"), *QUICK[2:], "--rounds", "20"],
        "run": [str(small / f"{NAME}.yaml"), "--runs-dir", str(own / "runs")],
        "plan": [str(small / f"{NAME}.yaml"), "--runs-dir", str(own / "runs")],
        "doctor": [graph, "--threads", "1"],
    }[name]
    return [sys.executable, "-P", "-m", "compress", name, *arguments]


def _undisturbed(name: str, folder: Path) -> float:
    """Seconds that a command takes."""
    own = folder / f"whole-{name}"
    ended = Watched(_command(name, folder, own), own, f"whole-{name}").end()
    if ended.code != 0:
        raise SystemExit(f"compress {name} failed undisturbed:\n{ended.stderr}")
    return ended.seconds


def _trial(number: int, name: str, sent: signal.Signals, moment: float, at_start: bool, folder: Path) -> Record:
    own = folder / f"orphan-{number}"
    while True:
        shutil.rmtree(own, ignore_errors=True)
        hangs = name in {"bench", "doctor"} and number % 3 == 0
        process = Watched(_command(name, folder, own, hangs=hangs), own, f"orphan-{number}")
        if (not at_start or _has_child(process)) and not process.ends_within(moment):
            break
        process.end()
        moment *= 0.8  # it was faster than the undisturbed one, and is done
    at, children = time.monotonic() - process.start, len(_started(process.trial)) - 1
    process.process.send_signal(sent)
    ended = process.ends_within(END_SECONDS)
    if not ended:
        process.kill()
    left = process.orphans_after(AFTER_SECONDS if ended else 0.0)
    stderr = process.end().stderr
    if not ended:
        left.append("the command itself")
    record: Record = {
        "outcome": f"left: {left[0]}" if left else f"none left ({sent.name} to {name} at {at:.1f} s)",
        "bad": bool(left),
        "command": name,
        "signal": sent.name,
        "moment_s": round(at, 3),
        "at_start_of_a_process": at_start,
        "graph_never_ends": hangs,
        "processes": children,
        "code": process.process.returncode,
        "left": left,
        "left_in_tmp": sorted(path.name for path in (own / "tmp").iterdir()),
    }
    if left:
        record["stderr"] = stderr
    else:
        shutil.rmtree(own, ignore_errors=True)
    return record


def _has_child(process: Watched) -> bool:
    """Wait until the command has started a process; False if it ends before."""
    while len(_started(process.trial)) < 2:
        if process.process.poll() is not None:
            return False
        time.sleep(0.01)
    return True


def _started(trial: str) -> Sequence[int]:
    """Numbers of a trial's processes."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == trial:
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
