"""How much memory static calibration takes.

`python -m benchmarks.quantization.calibration MODEL METHOD ROWS` loads the model, notes the memory of its process, and
runs the whole stage on training rows of 128 tokens.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import psutil

from benchmarks.quantization.making import ROOT, task_of
from compress.context import Context
from compress.models.tokenizer import load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import quantize_onnx_static
from compress.store.artifacts import Artifact
from compress.store.cost import forget_peak_memory, peak_memory_bytes
from compress.tasks import Task, with_rows

ROWS = 512
TOKENS = 128


def methods() -> tuple[str, ...]:
    """All ways in which the stage finds a range."""
    return get_args(quantize_onnx_static.Config.model_fields["calibration"].annotation)


def measured(model: Artifact, rows: int) -> dict[str, dict[str, Any]]:
    """What each method takes, each in a fresh process."""
    found = {}
    for method in methods():
        command = [sys.executable, "-m", __spec__.name, str(model.path), method, str(rows)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found[method] = json.loads(done.stdout.splitlines()[-1])
        print(f"  {method}: {found[method]}", flush=True)
    return found


def calibrate(folder: Path, method: str, count: int) -> dict[str, Any]:
    """Calibrate and quantize in this process; its memory before and at the most, in bytes."""
    task = _long_rows(task_of("r8"), folder, count)
    settings = {"calibration": method, "calibration_rows": count, "reduce_range": True}
    config = quantize_onnx_static.Config.model_validate(settings)
    predict = load(folder, Target(), task.hub_task)  # stays loaded

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        context = Context(task, 0, "cpu", False, Path(scratch), lambda *_: None, _uncached)
        forget_peak_memory()
        loaded = psutil.Process().memory_info().rss
        quantize_onnx_static.run(model=Artifact(folder, "0" * 64, "onnx"), config=config, context=context, out=out)
    del predict
    return {"rows": count, "tokens": TOKENS, "loaded_bytes": loaded, "peak_bytes": peak_memory_bytes()}


def _uncached(
    name: str, config: Mapping[str, Any], inputs: Mapping[str, str], make: Callable[[Path], Mapping[str, Any] | None]
) -> Artifact:
    raise AssertionError(f"static quantization keeps no by-products: {name}, {config}, {inputs}, {make}")


def _long_rows(task: Task, folder: Path, count: int) -> Task:
    """The task with training rows alone that have all the tokens."""
    encoded = task.encode(task.train, load_tokenizer(folder))
    long = [row for row, inputs in zip(task.train, encoded, strict=True) if len(inputs["input_ids"]) == TOKENS]
    assert len(long) >= count, f"{len(long)} rows of {TOKENS} tokens"
    return with_rows(task, train=long[:count])


if __name__ == "__main__":
    print(json.dumps(calibrate(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
