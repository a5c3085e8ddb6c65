"""Size, accuracy and latency of quantized models beside their float model, in fresh processes that take turns."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from avx2_only import Processes
from benchmarks.quantization.making import FLOAT
from compress.benching.measure import WORKER, Bench, measure
from compress.errors import CompressError
from compress.measurement import Estimate, Measurement
from compress.models.files import model_path
from compress.ops.statistics import accuracy_drop, speedup
from compress.recipe.schema import BenchSpec, Target
from compress.store.artifacts import Artifact
from compress.tasks import Task

LENGTHS = (32, 128)
TARGETS = {str(length): Target(threads=2, batch_size=1, sequence_length=length) for length in LENGTHS}


def measured(
    artifacts: Mapping[str, Artifact], task: Task, spec: BenchSpec, processes: Processes | None
) -> dict[str, Any]:
    """Measure all at all lengths, and hold them against the one called `float`.

    Args:
        processes: how they are started; None: as ordinary ones, with all that the processor has.

    Returns:
        `models`: what was found of each, raw samples and predictions included; `conditions` by length.

    Raises:
        CompressError: one cannot be measured.
    """
    worker = processes.command(WORKER) if processes else WORKER
    bench = Bench(task, spec, 0, False, _progress, worker)
    found, conditions = measure(list(artifacts.values()), TARGETS, bench)
    for item in found:
        if item.status != "measured":
            (name,) = (name for name, artifact in artifacts.items() if artifact.key == item.artifact)
            raise CompressError(f"'{name}' cannot be measured: {item.reason}", where=str(artifacts[name].path))
    by = {(item.artifact, item.target): item for item in found}
    truth = np.asarray(task.truth(task.test))
    base = [by[artifacts[FLOAT].key, length] for length in TARGETS]
    return {
        "models": {
            name: {
                "folder": artifact.path.name,
                "model_bytes": model_path(artifact.path).stat().st_size,
                **_against(base, [by[artifact.key, length] for length in TARGETS], truth),
            }
            for name, artifact in artifacts.items()
        },
        "conditions": {length: item.model_dump() for length, item in conditions.items()},
        "truth": truth.tolist(),
        "bench": spec.model_dump(),
    }


def _against(base: list[Measurement], other: list[Measurement], truth: np.ndarray[Any, Any]) -> dict[str, Any]:
    """What stands in the results of one model; both lists by length."""
    right, base_right = (np.asarray(items[0].predictions) == truth for items in (other, base))
    return {
        "size_bytes": other[0].size_bytes,
        "accuracy": float(right.mean()),
        "drop_pp": _said(accuracy_drop(base_right, right), 100),
        "lengths": {
            item.target: {
                "p50_ms": float(np.median(item.samples_ms)),
                "p90_ms": float(np.quantile(item.samples_ms, 0.9)),
                "speedup": _said(speedup(float_item.timings, item.timings)),
                "process_of_round": item.process_of_round,
                "peak_memory_bytes": item.peak_memory_bytes,
                "samples_ms": np.round(item.samples_ms, 4).tolist(),
                "real_samples_ms": np.round(item.real_samples_ms, 4).tolist(),
            }
            for float_item, item in zip(base, other, strict=True)
        },
        "predictions": other[0].predictions,
    }


def _said(found: Estimate, factor: float = 1) -> dict[str, float | None]:
    """An estimate for JSON."""
    return {name: None if value is None else factor * value for name, value in found.model_dump().items()}


def _progress(what: str, done: int, total: int) -> None:
    print(f"\r  {what}: {done} of {total} ", end="\n" if done == total else "", file=sys.stderr, flush=True)
