"""Ctrl-C while a real run is at work: once, twice, and what the same command does then."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from compress.cli import interrupt
from compress.cli.interrupt import ended_by_signals
from tests.forking import Forked
from tests.fresh import NOWHERE, command_line
from tests.graphs import endless_graph
from tests.graphs.test_calls import IDS, session_of
from tests.waiting import NEVER, until


@pytest.fixture
def recipe(tmp_path: Path, make_model: Callable[..., Path], reviews: Path) -> Path:
    """A training of a few seconds, and a measurement of minutes."""
    content = {
        "name": "slow",
        "task": {"train": str(reviews / "train.csv"), "test": str(reviews / "test.csv"), "max_length": 32},
        "steps": [{"name": "teacher", "stage": "finetune", "model": str(make_model()), "epochs": 5, "batch_size": 4}],
        "targets": {"cpu": {"threads": 1, "sequence_length": 16}},
        "baselines": "none",
        "bench": {"rounds": 2000},
        "device": "cpu",
    }
    path = tmp_path / "slow.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass(frozen=True)
class Run:
    """`compress run` of a recipe in a process of its own, which is forked off one that has imported what it needs."""

    recipe: Path
    process: Forked
    stderr: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def wait_for(self, what: str, runs: int = 1) -> None:
        """Until the newest of so many runs has begun with some work."""
        path = self.recipe.parent / "runs/slow/events.jsonl"

        def begun() -> bool:
            found = events(path) if path.is_file() else []
            starts = [number for number, entry in enumerate(found) if entry.get("event") == "run_started"]
            return len(starts) == runs and any(entry.get("what") == what for entry in found[starts[-1] :])

        until(begun, what, alive=self.is_alive)

    def end(self) -> tuple[int, str]:
        """Its exit code and what it said, once it has ended."""
        return self.process.wait(NEVER), self.stderr.read_text(encoding="utf-8")


@contextmanager
def start(recipe: Path) -> Iterator[Run]:
    stderr = recipe.parent / "stderr.txt"
    with stderr.open("wb") as said:
        process = Forked((command_line, (["run", str(recipe)],)), [*NOWHERE, said])
    try:
        yield Run(recipe, process, stderr)
    finally:
        process.kill()
        process.wait()


def events(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def test_once_stops_where_it_can_go_on_and_twice_at_once(recipe: Path) -> None:
    with start(recipe) as run:
        run.wait_for("fine-tuning")
        os.kill(run.pid, signal.SIGINT)
        code, said = run.end()
    assert code == 130
    assert "stopping at the next safe point (Ctrl-C again: at once)" in said
    assert said.endswith("stopped; finished steps and checkpoints are kept: run the same command again to go on\n")
    (checkpoint,) = (recipe.parent / "runs/store/scratch").glob("finetune-*/work/*/checkpoint-*")
    assert (checkpoint / "whole").is_file()

    with start(recipe) as run:
        run.wait_for("measuring", runs=2)
        (worker,) = until(psutil.Process(run.pid).children, "worker", alive=run.is_alive)
        os.kill(run.pid, signal.SIGINT)
        code, _ = run.end()
    assert code == 130
    found = events(recipe.parent / "runs/slow/events.jsonl")
    assert any(entry["message"] == f"fine-tuning goes on from {checkpoint.name}" for entry in found)
    assert not worker.is_running()
    with start(recipe) as run:
        run.wait_for("measuring", runs=3)
        os.kill(run.pid, signal.SIGSTOP)  # so that both arrive before it looks
        os.kill(run.pid, signal.SIGINT)
        os.kill(run.pid, signal.SIGCONT)
        os.kill(run.pid, signal.SIGINT)
        code, said = run.end()
    assert code == 130
    assert "Traceback" not in said
    ends = [entry for entry in events(recipe.parent / "runs/slow/events.jsonl") if entry.get("event") == "run_stopped"]
    assert len(ends) == 3


def in_a_library(numbers: tuple[int, ...], *_: Any) -> None:
    """In a process of its own: a call that hears nothing, and the signals that are sent to it."""
    interrupt.LAST_SECONDS = 0.2
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
    terminal = interrupt.Interrupt()
    session = session_of(endless_graph())

    def press() -> None:
        for number in numbers:
            time.sleep(0.3)
            os.kill(os.getpid(), number)

    with interrupt.ended_by_signals(), terminal.caught():
        threading.Thread(target=press, daemon=True).start()
        session.run(None, IDS)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ((signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGTERM,), 143),
        pytest.param((signal.SIGHUP,), 129, marks=pytest.mark.slow),  # caught by the same lines
    ],
)
def test_a_call_into_a_library_that_never_ends_is_ended_with_its_process(
    sent: tuple[int, ...], code: int, tmp_path: Path
) -> None:
    said = tmp_path / "stderr.txt"
    with said.open("wb") as errors:
        process = Forked((in_a_library, (sent,)), [*NOWHERE, errors], kind="graphs")
    assert process.wait(NEVER) == code, said.read_text()


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
