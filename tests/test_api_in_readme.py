"""The README's Python program, run as it stands."""

import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from compress import api
from compress.recipe.yaml_file import dump_yaml
from tests.chain import FAST
from tests.test_api import TARGETS

QUICK = {"warmup": 1, "rounds": 1, "samples": 2}
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_model, reviews, forked):
    """A folder with the program's recipe, its rows, and an earlier run."""
    for part in ("train", "test"):
        rows = (reviews / f"{part}.csv").read_text().splitlines()
        (tmp_path / f"{part}.csv").write_text("\n".join(["review,stars", *rows[1:]]))
    recipe = {
        "name": "reviews",
        "task": {
            "train": "train.csv",
            "test": "test.csv",
            "columns": {"text": "review", "label": "stars"},
            "max_length": 16,
        },
        "steps": [
            {"name": "student", "stage": "finetune", "model": str(make_model()), **FAST, "epochs": 1},
            {"name": "onnx", "stage": "export_onnx"},
            {"name": "half", "stage": "quantize_onnx_fp16"},
        ],
        "targets": TARGETS,
        "baselines": "none",
        "bench": QUICK,
        "device": "cpu",
    }
    (tmp_path / "reviews.yaml").write_text(dump_yaml(recipe))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "bench", partial(api.bench, settings=QUICK))  # as it stands, it takes two hundred samples
    api.run("reviews.yaml")
    shutil.copytree("runs/reviews", "runs/before", symlinks=True)
    return tmp_path


def test_the_program_runs_as_it_stands(workplace, capsys):
    program = re.search(r"<!-- python -->\n```python\n(.*?)```\n<!-- /python -->", README.read_text(), re.DOTALL)[1]
    names = {}
    exec(program, names)  # noqa: S102
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "('student', 'onnx', 'half')"  # another seed: nothing of it is done
    done = [line for line in lines if line.startswith("step_done")]
    assert done[:3] == ["step_done student", "step_done onnx", "step_done half"]
    assert names["result"].did_nothing
    assert names["last"].step == "half"
    assert [row.target for row in names["report"].rows] == ["one thread", "one thread"]
    assert names["compared"].comparison.agreement == 1
    assert names["student"].num_parameters() > 0
