"""A task, a format with its runtime, and a stage of somebody else: one file each, run as those of compress are."""

import csv
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from compress import api
from compress.cli import main
from compress.formats import load
from compress.lineage.model import read_lineage
from compress.models.tokenizer import load_tokenizer
from compress.planning.json_schema import recipe_schema
from compress.planning.planner import make_plan
from compress.recipe.yaml_file import load_recipe
from compress.report.model import Report
from tests.conftest import BAD, GOOD
from tests.fresh import fork_children

HERE = Path(__file__).parent
FILES = {"task": "opinion_words", "format": "word_table", "stage": "coarsen"}
"""The one file of each."""
ENTRY_POINTS = {
    "compress.tasks": {"opinion_words": FILES["task"]},
    "compress.formats": {"word_table": FILES["format"]},
    "compress.runtimes": {"looking_up": FILES["format"]},
    "compress.stages": {"tabulate": FILES["format"], "coarsen_embeddings": FILES["stage"]},
}
TRAINING = {"epochs": 4, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "batch_size": 8}


def opinion(word: str) -> str:
    return "PRAISE" if word in GOOD else "BLAME" if word in BAD else "O"


@pytest.fixture
def recipe(install: Any, make_model: Callable[..., Path], reviews: Path, tmp_path: Path) -> Path:
    """The packages are installed; the rows are the reviews, with a label for each word."""
    install("opinions", ENTRY_POINTS, "0.3", **{name: HERE / f"{name}.py" for name in FILES.values()})
    for part in ("train", "test"):
        with (reviews / f"{part}.csv").open(encoding="utf-8") as file:
            texts = [row["text"] for row in csv.DictReader(file)]
        with (tmp_path / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = [("sentence", "opinions"), *((text, " ".join(map(opinion, text.split()))) for text in texts)]
            csv.writer(file).writerows(rows)
    content = {
        "name": "opinions",
        "task": {
            "type": "opinion_words",
            "train": "train.csv",
            "test": "test.csv",
            "columns": {"text": "sentence", "labels": "opinions"},
            "max_length": 24,
        },
        "steps": [
            {"name": "teacher", "stage": "finetune", "model": str(make_model()), **TRAINING},
            {"name": "coarse", "stage": "coarsen_embeddings", "decimals": 1},
            {"name": "int8", "stage": "quantize_onnx_dynamic", "model": "onnx"},
            {"name": "table", "stage": "tabulate", "model": "coarse"},
        ],
        "targets": {
            "cpu": {"threads": 1, "sequence_length": 24},
            "table": {"runtime": "looking_up", "threads": 1, "sequence_length": 24},
        },
        "bench": {"rounds": 1, "warmup": 1, "samples": 2},
        "device": "cpu",
    }
    content["steps"].insert(2, {"name": "onnx", "stage": "export_onnx"})
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.int8
def test_all_three_are_trained_exported_quantized_measured_and_reported(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork_children(monkeypatch)
    with pytest.raises(SystemExit) as exited:
        main(["run", str(recipe), "--runs-dir", str(tmp_path / "runs")])
    printed = capsys.readouterr()
    assert exited.value.code == 0, printed.err
    folder = tmp_path / "runs" / "opinions"
    report = Report.model_validate_json((folder / "report.json").read_bytes())
    rows = {(row.step, row.target): row for row in report.rows}
    measured = {name for name, row in rows.items() if row.status == "measured"}
    assert measured == {
        *((step, "cpu") for step in ("teacher", "coarse", "onnx", "int8")),
        *((step, "table") for step in ("teacher", "coarse", "table")),
    }
    for name in measured:
        score, against = rows[name].quality, rows[name].versus_baseline
        assert score is not None
        assert 0.9 < score.value <= 1, name
        assert score.low < score.value <= score.high, name
        assert rows[name].is_baseline or against is not None
        assert against is None or against.drop_pp.low <= against.drop_pp.value <= against.drop_pp.high
    assert rows["table", "cpu"].reason == "the runtime 'onnxruntime' does not run the format 'word_table'"
    assert "entity F1" in (folder / "report.md").read_text(encoding="utf-8")
    assert "use it: " not in printed.out  # compress predict answers with a label for a text
    _check_final(folder / "final")


def _check_final(final: Path) -> None:
    """The last step, a word table, is shipped with its lineage and a card whose code runs."""
    lineage = read_lineage(final)
    assert lineage.packages == {"opinions": "0.3"}
    assert {step.package for step in lineage.steps} == {None, "opinions"}
    card = (final / "README.md").read_text(encoding="utf-8")
    assert "compress predict" not in card
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    shown: list[Any] = []
    exec(code.replace('Path(".")', f"Path({str(final)!r})"), {"print": shown.append})  # noqa: S102  our own
    assert shown[0].shape[::2] == (2, 3)
    predict = load(final, "token-classification")
    tokenizer = load_tokenizer(final)
    (labels,) = predict(tokenizer.pad(tokenizer.encode(["a superb film"], None, 24))).argmax(axis=-1)
    assert labels.tolist()[1:-1] == [0, 2, 0]


def test_a_plan_of_them_goes_to_another_process_and_the_schema_lists_them(recipe: Path) -> None:
    plan = make_plan(*load_recipe(recipe))
    assert pickle.loads(pickle.dumps(plan)).recipe == plan.recipe  # noqa: S301  made in this line
    packages = {step.stage_name: step.identity.package for step in plan.steps}
    assert packages["coarsen_embeddings"] == packages["tabulate"] == "opinions"
    assert packages["finetune"] is None
    listed = recipe_schema()["$defs"]
    assert listed["TaskSpec"]["properties"]["type"]["enum"] == ["opinion_words", "text_classification"]
    assert "looking_up" in listed["Target"]["properties"]["runtime"]["enum"]
    assert {"step.tabulate", "step.coarsen_embeddings"} <= listed.keys()


@pytest.mark.slow
@pytest.mark.int8
def test_they_are_rehearsed_forecast_and_timed_with_intervals(recipe: Path, tmp_path: Path) -> None:
    def compress(*arguments: str) -> str:
        command = [sys.executable, "-m", "compress", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "every step and the measuring works" in compress("run", "recipe.yaml", "--smoke")
    assert "coarsen_embeddings" in compress("plan", "recipe.yaml")
    compress("run", "recipe.yaml", "--set", "bench.rounds=3", "--set", "bench.processes=3")
    report = Report.model_validate_json((tmp_path / "runs" / "opinions" / "report.json").read_bytes())
    against = [row.versus_baseline for row in report.rows if row.versus_baseline is not None]
    assert len(against) == 5
    for compared in against:
        assert compared.speedup is not None
        assert compared.speedup.low is not None
        assert compared.speedup.low <= compared.speedup.value <= compared.speedup.high
    task = yaml.safe_load(recipe.read_text())["task"] | {"test": str(tmp_path / "test.csv")}
    del task["train"]
    again = api.bench([tmp_path / "runs" / "opinions" / "steps" / "int8"], task, settings={"rounds": 1})
    assert again.rows[0].status == "measured"
