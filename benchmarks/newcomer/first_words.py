"""Seconds until a command shows something on a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.newcomer.workplace import RECIPE, Workplace

SAMPLES = 9
PATIENCE_SECONDS = 60.0
"""After which a command that shows nothing is given up."""
COLOUR = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
"""What a terminal gets and a person does not see: colours, and moves of the cursor."""


def measure(place: Workplace) -> dict[str, dict[str, Any]]:
    """Start each command on a pseudo-terminal in turns, and end it when its first words are there.

    One start of each comes before, so files are read from the page cache: a first start after boot takes longer.
    """
    here = place.new_folder("first_words")
    (here / "rows.csv").write_text("text,label\na good film,good\na bad film,bad\n")
    commands = _commands(place.run, here)
    records: dict[str, dict[str, Any]] = {name: {"seconds": [], "words": ""} for name in commands}
    for turn in range(SAMPLES + 1):
        for name, arguments in commands.items():
            seconds, words = _first_words(arguments, here)
            if turn:
                records[name]["seconds"].append(round(seconds, 3))
                records[name]["words"] = words
    return records


def figures(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The median of the command that leaves a person waiting the longest."""
    medians = {name: median(record["seconds"]) for name, record in records.items()}
    slowest = max(medians, key=lambda name: medians[name])
    return {"first_words_s": round(medians[slowest], 2), "first_words_slowest": slowest}


def _commands(run: Path, here: Path) -> dict[str, list[str]]:
    final, teacher, rows = str(run / "final"), str(run / "steps" / "teacher"), str(here / "rows.csv")
    return {
        "help": ["--help"],
        "init": ["init", "--model", teacher, "--train", rows],
        "plan": ["plan", str(RECIPE)],
        "run": ["run", str(RECIPE)],
        "finetune": ["finetune", teacher, "--train", rows],
        "chain": ["chain", teacher, "--train", rows, "finetune", "export"],
        "bench": ["bench", teacher, final, "--data", rows],
        "report": ["report", str(run)],
        "compare": ["compare", str(run), str(run)],
        "doctor": ["doctor", final],
        "predict": ["predict", final, "oil prices rose"],
        "lineage": ["lineage", final],
    }


def _first_words(arguments: Sequence[str], folder: Path) -> tuple[float, str]:
    """Seconds from the start to the first letter on the terminal, and the line that it begins."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "compress", *arguments],
        cwd=folder,
        env=variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while not COLOUR.sub(b"", shown).strip():
            left = start + PATIENCE_SECONDS - time.perf_counter()
            ready, _, _ = select.select([ours], [], [], max(left, 0))
            if not ready:
                raise TimeoutError(f"compress {arguments[0]} shows nothing for {PATIENCE_SECONDS:.0f} s")
            shown += os.read(ours, 4096)
        seconds = time.perf_counter() - start
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)
    return seconds, COLOUR.sub(b"", shown).decode(errors="replace").strip().splitlines()[0][:80]
