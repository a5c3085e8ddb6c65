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

START = 60


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
