"""A small run that has ended, for cases that change something in its folder."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import yaml

from benchmarks.faults.cases import recipe, run_limited, small_run
from benchmarks.faults.small_run import RECIPE

NAME = "tiny"
STEPS: list[dict[str, object]] = [
    {"name": "teacher", "stage": "finetune", "model": "model", "epochs": 1, "learning_rate": 1e-3}
]


def write_recipe(folder: Path, **changed: object) -> list[str]:
    """Model, rows and a recipe of one step, `r.yaml`; the arguments that run it."""
    shutil.copytree(small_run(), folder, dirs_exist_ok=True)
    text = yaml.safe_dump(recipe(**{"name": NAME, "steps": STEPS, **changed}), sort_keys=False)
    (folder / "r.yaml").write_text(text, encoding="utf-8")
    return ["run", "r.yaml"]


def write_unmeasured(folder: Path) -> list[str]:
    """The same without targets: it takes half of the time."""
    write_recipe(folder)
    content = {key: value for key, value in RECIPE.items() if key not in {"targets", "bench"}}
    content |= {"name": NAME, "steps": STEPS}
    (folder / "r.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return ["run", "r.yaml"]


def copy_finished(folder: Path) -> list[str]:
    """A copy of the run, all done, measured and reported; the arguments that run it again."""
    shutil.copytree(_finished(), folder, symlinks=True, dirs_exist_ok=True)
    return ["run", "r.yaml"]


@cache
def _finished() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="compress-finished-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    here = folder / "here"
    here.mkdir()
    ended = run_limited(write_recipe(here), here, {})
    if ended.code != 0:
        raise RuntimeError(f"the undisturbed run failed: {ended.stderr}")
    return here
