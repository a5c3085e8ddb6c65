"""Plans of small recipes, for the tests of what planning refuses and what its keys depend on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.recipe.yaml_file import load_recipe

TEACHER = "{name: teacher, stage: finetune, model: MODEL}"
STUDENT = "{name: student, stage: distill, layers: 1}"
PRUNED = "{name: pruned, stage: prune_structured, teacher: teacher}"
ONNX = "{name: onnx, stage: export_onnx}"
INT8 = "{name: int8, stage: quantize_onnx_dynamic}"
CHAIN = (TEACHER, STUDENT, PRUNED, ONNX, INT8)
CPU = "targets: {cpu: {threads: 1, sequence_length: 32}}"


@pytest.fixture
def plan(tmp_path: Path, make_model: Callable[..., Path], reviews: Path) -> Callable[..., Plan]:
    """Plans a recipe of these steps: the first stands on line 4, `more` below the last."""

    def plan_recipe(*steps: str, more: str = CPU, data: Path = reviews, task: str = "", **overrides: Any) -> Plan:
        lines = [
            "name: tiny",
            f"task: {{train: {data}/train.csv, test: {data}/test.csv, max_length: 32{task}}}",
            "steps:",
            *(f"  - {step.replace('MODEL', str(make_model()))}" for step in steps),
            more,
        ]
        path = tmp_path / "recipe.yaml"
        path.write_text("\n".join(lines))
        return make_plan(*load_recipe(path, [f"{name}={value}" for name, value in overrides.items()]))

    return plan_recipe


def model_like(source: Path, out: Path, **config: Any) -> Path:
    """A copy of a model whose config.json says something else."""
    shutil.copytree(source, out)
    old = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**old, **config}))
    return out


@pytest.fixture
def labelled(make_model, tmp_path):
    """A model from outside that says the data's labels."""
    return model_like(make_model(), tmp_path / "labelled", id2label={"0": "bad", "1": "good"})
