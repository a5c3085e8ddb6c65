"""A task, a format with its runtime, and a stage of somebody else: one file each, run as those of compress are."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress import api
from tests.conftest import BAD, GOOD

HERE = Path(__file__).parent
ENTRY_POINTS = {
    "compress.tasks": {"opinion_words": "opinion_words"},
    "compress.formats": {"word_table": "word_table"},
    "compress.runtimes": {"looking_up": "word_table"},
    "compress.stages": {"tabulate": "word_table", "coarsen_embeddings": "coarsen"},
}


@pytest.fixture
def words(reviews: Path, tmp_path: Path) -> Path:
    """The reviews with a label for each of their words."""
    folder = tmp_path / "words"
    folder.mkdir()
    for part in ("train", "test"):
        with (reviews / f"{part}.csv").open(encoding="utf-8") as file:
            texts = [row["text"] for row in csv.DictReader(file)]
        with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["sentence", "opinions"])
            writer.writerows([text, " ".join(map(opinion, text.split()))] for text in texts)
    return folder


def opinion(word: str) -> str:
    return "PRAISE" if word in GOOD else "BLAME" if word in BAD else "O"


@pytest.fixture
def installed(install: Any) -> None:
    modules = {name: HERE / f"{name}.py" for points in ENTRY_POINTS.values() for name in points.values()}
    install("opinions", ENTRY_POINTS, "0.3", **modules)


def recipe(model: Path, words: Path, **changes: Any) -> dict[str, Any]:
    task = {"type": "opinion_words", "train": str(words / "train.csv"), "test": str(words / "test.csv")}
    columns = {"text": "sentence", "labels": "opinions"}
    training = {"epochs": 4, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "batch_size": 8}
    return {
        "name": "opinions",
        "task": {**task, "columns": columns, "max_length": 24},
        "steps": [
            {"name": "teacher", "stage": "finetune", "model": str(model), **training},
            {"name": "coarse", "stage": "coarsen_embeddings", "decimals": 1},
            {"name": "onnx", "stage": "export_onnx"},
            {"name": "int8", "stage": "quantize_onnx_dynamic"},
        ],
        "targets": {
            "cpu": {"threads": 1, "sequence_length": 24},
            "table": {"runtime": "looking_up", "threads": 1, "sequence_length": 24},
        },
        "bench": {"rounds": 1, "warmup": 1, "samples": 2},
        "device": "cpu",
        **changes,
    }


@pytest.mark.int8
def test_all_three_run_and_are_reported(
    installed: None, make_model: Callable[..., Path], words: Path, tmp_path: Path
) -> None:
    result = api.run(recipe(make_model(), words), runs_dir=tmp_path / "runs", on_event=print)
    assert list(result.failures) == []
    print((result.folder / "report.md").read_text()); print((result.folder / "final" / "README.md").read_text())
    for row in result.report.rows:
        print(row.step, row.target, row.status, row.reason, row.quality)
