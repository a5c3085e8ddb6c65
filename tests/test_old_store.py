"""A store that an earlier version of the code wrote: its artifacts are still taken, under the same keys."""

import shutil
from pathlib import Path

from compress.planning.planner import make_plan
from compress.recipe.yaml_file import read_recipe
from compress.running.runner import run_plan

from .chain import Silent

WRITTEN = Path(__file__).parent / "old_store"
"""A tiny model, its rows, the recipe, and the store that its run left (0.1.0, before the modules moved to rooms)."""


def test_every_step_of_a_run_before_is_taken_from_its_store(tmp_path: Path) -> None:
    place = shutil.copytree(WRITTEN, tmp_path / "old")
    recipe, origin = read_recipe((place / "recipe.yaml").read_bytes(), place / "recipe.yaml")
    observer = Silent()
    result = run_plan(make_plan(recipe, origin), place / "runs", observer)
    assert observer.made == []
    assert list(result.artifacts) == ["teacher", "student", "pruned", "onnx", "int8", "four"]
