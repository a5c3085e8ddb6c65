"""Ctrl-C while a real run is at work: once, twice, and what the same command does then."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from compress.cli.interrupt import ended_by_signals

START = 60
ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(tmp_path: Path, make_model: Callable[..., Path], reviews: Path) -> Path:
    """A training of some seconds, and a measurement of minutes."""
    content = {
        "name": "slow",
        "task": {"train": str(reviews / "train.csv"), "test": str(reviews / "test.csv"), "max_length": 32},
        "steps": [{"name": "teacher", "stage": "finetune", "model": str(make_model()), "epochs": 60, "batch_size": 4}],
        "targets": {"cpu": {"threads": 1, "sequence_length": 16}},
        "bench": {"rounds": 2000},
        "device": "cpu",
    }
    path = tmp_path / "slow.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def start(recipe: Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "compress", "run", str(recipe)]
    return subprocess.Popen(line, cwd=recipe.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(recipe: Path, what: str, runs: int = 1) -> None:
    """Until the newest of so many runs has begun with some work."""
    deadline = time.monotonic() + START
    path = recipe.parent / "runs/slow/events.jsonl"
    while time.monotonic() < deadline:
        found = events(path) if path.is_file() else []
        starts = [number for number, entry in enumerate(found) if entry.get("event") == "run_started"]
        if len(starts) == runs and any(entry.get("what") == what for entry in found[starts[-1] :]):
            return
        time.sleep(0.05)
    raise AssertionError(f"no {what} in {START} s")


def events(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def test_once_stops_where_it_can_go_on_and_twice_at_once(recipe: Path) -> None:
    with start(recipe) as run:
        wait_for(recipe, "fine-tuning")
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=START)
    assert run.returncode == 130
    assert "stopping at the next safe point (Ctrl-C again: at once)" in said
    assert said.endswith("stopped; finished steps and checkpoints are kept: run the same command again to go on\n")
    (checkpoint,) = (recipe.parent / "runs/store/scratch").glob("finetune-*/work/*/checkpoint-*")
    assert (checkpoint / "whole").is_file()

    with start(recipe) as run:
        wait_for(recipe, "measuring", runs=2)
        (worker,) = wait_for_worker(run.pid)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=START)
    assert run.returncode == 130
    found = events(recipe.parent / "runs/slow/events.jsonl")
    assert any(entry["message"] == f"fine-tuning goes on from {checkpoint.name}" for entry in found)
    assert not worker.is_running()
    with start(recipe) as run:
        wait_for(recipe, "measuring", runs=3)
        run.send_signal(signal.SIGSTOP)  # so that both arrive before it looks
        os.kill(run.pid, signal.SIGINT)
        run.send_signal(signal.SIGCONT)
        os.kill(run.pid, signal.SIGINT)
        _, said = run.communicate(timeout=START)
    assert run.returncode == 130
    assert "Traceback" not in said
    ends = [entry for entry in events(recipe.parent / "runs/slow/events.jsonl") if entry.get("event") == "run_stopped"]
    assert len(ends) == 3


def wait_for_worker(pid: int) -> list[psutil.Process]:
    deadline = time.monotonic() + START
    while not (workers := psutil.Process(pid).children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return workers


IN_A_LIBRARY = """
import os, signal, sys, threading, time
import numpy as np
from compress.cli import interrupt
from tests.models.test_calls import IDS, endless_graph, session_of

interrupt.LAST_SECONDS = 0.5
terminal = interrupt.Interrupt()
session = session_of(endless_graph())

def press():
    for number in map(int, sys.argv[1:]):
        time.sleep(0.5)
        os.kill(os.getpid(), number)

with interrupt.ended_by_signals(), terminal.caught():
    threading.Thread(target=press, daemon=True).start()
    session.run(None, IDS)  # which hears nothing
"""


@pytest.mark.parametrize(
    ("sent", "code"), [((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM,), 143), ((signal.SIGHUP,), 129)]
)
def test_a_call_into_a_library_that_never_ends_is_ended_with_its_process(sent: tuple[int, ...], code: int) -> None:
    line = [sys.executable, "-c", IN_A_LIBRARY, *(str(int(number)) for number in sent)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=START, check=False)
    assert done.returncode == code, done.stderr


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
