"""Runs of recipes in processes of their own, and what is kept of their reports."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results"
DONE = (0, 3)
"""Exit codes of a run that ended; 3 says that it missed its goal."""


def run_recipe(recipe: Mapping[str, Any], runs_dir: Path, threads: int | None = None) -> Path:
    """Run a recipe; steps that the store has already are taken from it. Returns the run's folder.

    Args:
        threads: threads of each training; None: as many as torch takes.
    """
    runs_dir.mkdir(parents=True, exist_ok=True)
    path = runs_dir / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(dict(recipe), sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "compress", "run", str(path), "--runs-dir", str(runs_dir)]
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if code not in DONE:
        sys.exit(f"the run {recipe['name']} failed with exit code {code}")
    return runs_dir / str(recipe["name"])


def read_report(folder: Path, *, keep_texts: bool = True) -> dict[str, Any]:
    """A run's report with all samples and predictions.

    Args:
        keep_texts: whether the texts of rows that flipped stay in it; the data may not be ours to hand on.
    """
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if not keep_texts:
        for row in report["rows"]:
            row["flips"] = []
    return report


def read_results(name: str) -> dict[str, Any]:
    """What a results' file holds; nothing if there is none."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def write_results(name: str, content: Mapping[str, Any], indent: int | None = None) -> None:
    """Write a results' file whole."""
    RESULTS.mkdir(exist_ok=True)
    part = RESULTS / f"{name}.json.part"
    part.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
    part.replace(RESULTS / f"{name}.json")
