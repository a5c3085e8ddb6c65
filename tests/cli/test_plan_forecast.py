"""`compress plan` with its forecast, `compress run --smoke`, and a run that is refused for what it needs."""

import json
from pathlib import Path

import pytest
import yaml


@pytest.fixture
def recipe(tmp_path, make_model, reviews):
    content = {
        "name": "tiny",
        "task": {"train": str(reviews / "train.csv"), "test": str(reviews / "test.csv"), "max_length": 32},
        "steps": [
            {"name": "teacher", "stage": "finetune", "model": str(make_model()), "epochs": 500, "batch_size": 8},
            {"name": "onnx", "stage": "export_onnx"},
        ],
        "targets": {"cpu": {"threads": 1, "sequence_length": 16}},
        "device": "cpu",
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_plan_forecasts_what_a_run_takes_and_the_run_is_held_to_it(cli, refused, recipe, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("plan", recipe)
    assert said.code == 0, said.err
    assert "measuring 5 batches of each step that is to do …" in said.err
    assert max(len(line) for line in said.out.splitlines() if "test rows" not in line) <= 80
    forecast = json.loads(Path("runs/tiny/forecast.json").read_text())
    teacher, onnx, bench = forecast["steps"]
    assert (teacher["step"], onnx["step"], bench["step"]) == ("teacher", "onnx", "bench")
    assert teacher["seconds"] > 2  # 4,000 optimizer steps of half a millisecond or more
    assert onnx["seconds"] > 0
    assert teacher["memory_bytes"] > 2e8
    assert said.out.splitlines()[-1].startswith("forecast: ")
    assert [path.name for path in Path("runs").rglob("*")] == ["tiny", "forecast.json"]

    monkeypatch.setattr("compress.running.forecast.free_memory", lambda: 1000)
    error = refused("run", recipe, code=1)
    assert error.what.startswith("'")
    assert " needs about " in error.what
    assert error.what.endswith(" of memory, 0 MB are free")
    assert "--force" in error.fix
    assert [path.name for path in Path("runs").rglob("*")] == ["tiny", "forecast.json"]


def test_a_smoke_run_tries_everything_and_keeps_nothing(cli, refused, recipe):
    said = cli("run", recipe, "--smoke")
    assert said.code == 0, said.err
    assert said.out.startswith("every step and the measuring works, as far as a few rows can tell (")
    assert said.out.endswith(" s); nothing was kept\n")
    assert [line.split()[1] for line in said.err.splitlines() if line.startswith("✓")] == ["teacher", "onnx", "bench"]
    assert not Path("runs").exists()
    error = refused("run", recipe, "--smoke", "--set", "onnx.tolerance=1e-30", "--json", code=1)
    assert error.what.startswith("step 'onnx' failed: the exported model differs from torch by ")
    line = recipe.read_text().splitlines().index("- name: onnx") + 1
    assert error.where == f"{recipe}:{line}"
