"""What is measured: the quickstart's small models, and rows of made-up words."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.benching.measure import WORKER, Bench
from compress.data.sources import Sources
from compress.recipe.schema import BenchSpec, TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import Task, load_task

ROOT = Path(__file__).parents[2]
COMPRESS = (sys.executable, "-m", "compress")
ROWS = 64
SMALL = [
    "--set", "task.train_rows=480", "--set", "teacher.epochs=1", "--set", "student.epochs=1",
    "--set", "pruned.recover={epochs: 1, train_length: 48, learning_rate: 5.0e-4}", "--set", "goal=null",
    "--set", "bench.rounds=1",
]  # fmt: skip


@dataclass(frozen=True)
class Models:
    """The models of a run, and the rows that they are measured on.

    Attributes:
        folders: by the name of the step.
        test: the rows as a file.
        scratch: an empty folder.
    """

    folders: Mapping[str, Path]
    task: Task
    test: Path
    scratch: Path


def made(scratch: Path) -> Models:
    """Run the quickstart on few rows."""
    runs = scratch / "runs"
    command = [*COMPRESS, "run", str(ROOT / "recipes" / "quickstart.yaml"), "--runs-dir", str(runs), *SMALL]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    run, test, empty = runs / "quickstart", scratch / "test.csv", scratch / "empty"
    empty.mkdir()
    task = _rows(json.loads((run / "report.json").read_text())["test"]["labels"], test)
    return Models({name: run / "steps" / name for name in ("int8", "onnx")}, task, test, empty)


def _rows(labels: Sequence[str], path: Path) -> Task:
    """A few texts with the run's labels; what they say does not matter here, how long they are does."""
    words = "the company said its first quarter net profit rose to dlrs a share from a year earlier".split()
    lines = ["text,label"]
    for number in range(ROWS):
        length = 8 + (number * 37) % 150  # 8 to 157 words
        text = " ".join(words[(number + place) % len(words)] for place in range(length))
        lines.append(f"{text},{labels[number % len(labels)]}")
    path.write_text("\n".join(lines) + "\n")
    return load_task(TaskSpec(test=str(path)), Sources().table, 0, Origin(), labels=labels)


def bench_of(task: Task, seed: int, spec: BenchSpec | None = None, worker: Sequence[str] = WORKER) -> Bench:
    """The instrument with its default settings."""
    return Bench(task, spec or BenchSpec(), seed, False, lambda *_: None, worker)
