"""Runs of recipes in processes of their own, and what is kept of their reports."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.results import Results, without_texts
from compress.api import bench

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = Results(HERE)
DONE = (0, 3)
"""Exit codes of a run that ended; 3 says that it missed its goal."""


def run_recipe(recipe: Mapping[str, Any], runs_dir: Path) -> Path:
    """Run a recipe; steps that the store has already are taken from it. Returns the run's folder."""
    runs_dir.mkdir(parents=True, exist_ok=True)
    path = runs_dir / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(dict(recipe), sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "compress", "run", str(path), "--runs-dir", str(runs_dir)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code not in DONE:
        sys.exit(f"the run {recipe['name']} failed with exit code {code}")
    return runs_dir / str(recipe["name"])


def run_and_bench(recipe: Mapping[str, Any], runs_dir: Path, steps: Sequence[str]) -> dict[str, Any]:
    """Run a recipe, and measure a few of its steps alone, the first of which the others are held against.

    Returns:
        A report as of `compress bench`, with `made`: what each step of the recipe cost, and was made from.
    """
    folder = run_recipe({key: recipe[key] for key in recipe if key not in {"targets", "goal", "bench"}}, runs_dir)
    task = {key: recipe["task"][key] for key in ("type", "test", "columns", "max_length")}
    folders = [folder / "steps" / step for step in steps]
    settings = {"settings": recipe["bench"], "goal": recipe["goal"], "seed": recipe["seed"]}
    report = without_texts(bench(folders, task, recipe["targets"], **settings).model_dump(mode="json"))
    made = {
        path.name: json.loads((path / "manifest.json").read_text(encoding="utf-8")) for path in folder.glob("steps/*")
    }
    names = {manifest["key"]: name for name, manifest in made.items()}
    report["made"] = {
        name: {
            "cpu_seconds": manifest["cpu_seconds"],
            "inputs": [names[key] for key in manifest["inputs"].values() if key in names],
        }
        for name, manifest in made.items()
    }
    for row in report["rows"]:
        manifest = made[row["step"]]
        row |= {"cpu_seconds": manifest["cpu_seconds"], "made_in_bytes": manifest["peak_memory_bytes"]}
    return report


def read_report(folder: Path) -> dict[str, Any]:
    """A run's report with all samples and predictions."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report
