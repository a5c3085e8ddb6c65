"""Which steps of a store that an earlier version wrote are taken by a run of today."""

import shutil
from pathlib import Path
from typing import Any

from benchmarks.newcomer.workplace import ROOT
from compress.planning.planner import make_plan
from compress.recipe.yaml_file import read_recipe
from compress.running.runner import run_plan

WRITTEN = ROOT / "tests" / "old_store"


class _Steps:
    """An observer that keeps which steps were taken, and which were made."""

    def __init__(self) -> None:
        self.taken: dict[str, bool] = {}

    def progress(self, what: str, done: int, total: int) -> None: ...

    def step_started(self, name: str, stage: str) -> None: ...

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        del stage, seconds
        self.taken[name] = not made

    def warned(self, message: str) -> None: ...

    def stopping(self) -> bool:
        return False


def measure(folder: Path) -> dict[str, Any]:
    """Run the old store's recipe beside a copy of it."""
    place = shutil.copytree(WRITTEN, folder / "old")
    steps = _Steps()
    plan = make_plan(*read_recipe((place / "recipe.yaml").read_bytes(), place / "recipe.yaml"))
    run_plan(plan, place / "runs", steps)
    return {"taken": {step.name: steps.taken[step.name] for step in plan.steps}}


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """The share of its steps."""
    taken = record["taken"].values()
    return {"old_store_hits_pct": round(100 * sum(taken) / len(taken), 1)}
