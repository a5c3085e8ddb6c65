"""The float models, and what our stages make of them: recipes, run through `compress run`."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compress.errors import CompressError
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.store.artifacts import Artifact
from compress.tasks import Task

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

Step = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A float model that is quantized.

    Attributes:
        recipe: the file beside this one that trains it, without its ending.
        step: of that recipe: the fused fp32 graph, which is the baseline.
        title: in words.
    """

    recipe: str
    step: str
    title: str


SUBJECTS = {
    "r8": Subject("r8", "float", "MiniLM-L6 on Reuters R8"),
    "r52": Subject("r52", "float", "MiniLM-L6 on Reuters R52"),
    "student": Subject("r8", "student_float", "A student of R8's: two layers, a third as wide"),
}
FLOAT = "float"
SCHEMES: dict[str, Step] = {
    "int8_dynamic": {"stage": "quantize_onnx_dynamic", "reduce_range": True},
    "int8_static": {"stage": "quantize_onnx_static", "reduce_range": True},
    "int4_rtn": {"stage": "quantize_onnx_4bit", "method": "rtn"},
    "int4_hqq": {"stage": "quantize_onnx_4bit", "method": "hqq"},
    "int4_gptq": {"stage": "quantize_onnx_4bit", "method": "gptq"},
}
"""Our schemes but `int4_best`, whose settings `choosing` finds; what is not said is the stage's default."""


def recipe_of(name: str) -> dict[str, Any]:
    """A recipe of this folder, as written."""
    found: dict[str, Any] = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def task_of(name: str) -> Task:
    """The rows of a recipe of this folder."""
    return make_plan(Recipe.model_validate(recipe_of(name)), Origin()).task


def float_model(subject: Subject, runs_dir: Path) -> Artifact:
    """The fused fp32 graph, trained if it is not there yet."""
    return run_recipe(recipe_of(subject.recipe), runs_dir, [subject.step])[subject.step]


def quantized(name: str, schemes: Mapping[str, Step], runs_dir: Path) -> dict[str, Artifact]:
    """What our stages make of a subject's float model, by the schemes' names."""
    subject = SUBJECTS[name]
    recipe = recipe_of(subject.recipe)
    added = [{"name": scheme, "model": subject.step, **settings} for scheme, settings in schemes.items()]
    recipe |= {"name": f"quantization-{name}-schemes", "steps": [*recipe["steps"], *added]}
    return run_recipe(recipe, runs_dir, list(schemes))


def run_recipe(
    recipe: Mapping[str, Any], runs_dir: Path, steps: Sequence[str], environment: Mapping[str, str] | None = None
) -> dict[str, Artifact]:
    """Run a recipe in a process of its own; what is in the store of `runs_dir` already is taken from there.

    Args:
        steps: those whose artifacts are wanted.
        environment: variables of that process beside the usual ones.

    Raises:
        CompressError: the run failed; it has told why.
    """
    runs_dir.mkdir(parents=True, exist_ok=True)
    path = runs_dir / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(dict(recipe), sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "compress", "run", str(path), "--runs-dir", str(runs_dir)]
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **(environment or {})}, check=False).returncode
    if code:
        raise CompressError(f"the run failed with exit code {code}", where=str(path), fix="see what it says above")
    folders = {step: (runs_dir / recipe["name"] / "steps" / step).resolve() for step in steps}
    return {step: Artifact(folder, manifest_of(folder)["key"], "onnx") for step, folder in folders.items()}


def manifest_of(folder: Path) -> dict[str, Any]:
    """What the store says of an artifact."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found
