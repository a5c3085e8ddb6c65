"""A run in which all is done: how long it takes to say so, and how much of that is hashing."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.faults.small_run import ROOT, environment, run
from benchmarks.faults.trials import Record

TIMES = 5


def cached_run(recipe: str = "recipes/quickstart.yaml", extra: tuple[str, ...] = ()) -> Record:
    """Run a recipe once, then again and again: with a clock outside, then with one around each hash."""
    with TemporaryDirectory() as folder:
        options = [recipe, "--runs-dir", str(Path(folder) / "runs"), *extra]
        command = [sys.executable, "-m", "compress", "run", *options]
        print(f"{recipe}, to be run again when all is done", flush=True)
        first = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if first.returncode not in (0, 3):
            raise SystemExit(f"the run failed:\n{first.stderr}")
        samples = []
        for _ in range(TIMES):
            again = run(command)
            assert "nothing to do" in again.stdout, again.stderr
            samples.append(again.seconds)
        hashing = []
        for number in range(TIMES):
            told = Path(folder) / f"hashing-{number}.json"
            module = "benchmarks.faults.timed_hashing"
            hashed = [sys.executable, "-m", module, str(told), "run", *options]
            subprocess.run(hashed, cwd=ROOT, env=environment(), check=False, capture_output=True)
            hashing.append(json.loads(told.read_text()))
    return {
        "recipe": recipe,
        "exit_code": again.code,
        "cached_run_samples_s": samples,
        "hashing": hashing,
        "cached_run_s": round(median(samples), 3),
        "cached_hash_s": round(median(one["seconds"] for one in hashing), 3),
    }
