"""A model against itself: how often the interval of the speed-up covers 1, and what several processes cost."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np

from benchmarks.instrument.models import Models, bench_of
from compress.benching.measure import measure
from compress.measurement import Conditions, Measurement
from compress.ops.statistics import speed_verdict, speedup, speedups
from compress.recipe.schema import BenchSpec, Target
from compress.store.artifacts import Artifact

BUSY = "import os, sys; os.sched_setaffinity(0, [int(sys.argv[1])])\nwhile True: pass"
"""A process that keeps one core at work."""


def against_itself(models: Models, trials: int) -> dict[str, Any]:
    """Each trial measures one model twice, as two artifacts, in fresh processes; the models take turns."""
    found = []
    for number in range(trials):
        name = list(models.folders)[number % len(models.folders)]
        found.append({"model": name, **_trial(models, name, number, BenchSpec())})
        told = found[-1]
        interval = f"[{told['low']:.3f}, {told['high']:.3f}]"
        print(f"  {number + 1:>2} {name:<5} {told['speedup']:.3f} {interval} {told['verdict']}", flush=True)
    return {"trials": found}


def beside_a_busy_process(models: Models, trials: int) -> dict[str, Any]:
    """The same while another process keeps one of the cores busy that the models run on."""
    core = max(os.sched_getaffinity(0))
    with _running([sys.executable, "-c", BUSY, str(core)]):
        return {"busy_core": core, **against_itself(models, trials)}


def cost_of_processes(models: Models) -> dict[str, Any]:
    """Seconds that measuring two artifacts takes with one process each, and with as many as by default."""
    seconds: dict[str, list[float]] = {}
    for number in range(3):
        for processes in (1, BenchSpec().processes):
            spec = BenchSpec(processes=processes)
            found = [_trial(models, name, number, spec)["seconds"] for name in models.folders]
            seconds.setdefault(str(processes), []).append(sum(found))
    return {"artifacts": 2 * len(models.folders), "seconds_by_processes": seconds}


def _trial(models: Models, name: str, seed: int, spec: BenchSpec) -> dict[str, Any]:
    """One measurement of a model beside itself."""
    twins = [Artifact(models.folders[name].resolve(), digit * 64, "onnx") for digit in "01"]
    start = time.perf_counter()
    found, conditions = measure(twins, {"cpu": Target()}, bench_of(models.task, seed, spec))
    return {"seconds": time.perf_counter() - start, **_read(found, conditions["cpu"])}


def _read(found: Sequence[Measurement], conditions: Conditions) -> dict[str, Any]:
    """What the instrument says of two models; beside it the interval that rounds taken for independent would give."""
    for item in found:
        assert item.status == "measured", item.reason
    first, second = (item.timings for item in found)
    estimate = speedup(first, second)
    rounds = np.arange(len(first.samples_ms))
    by_rounds = speedups(np.asarray(first.samples_ms), np.asarray(second.samples_ms), rounds, rounds)
    return {
        "speedup": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "verdict": speed_verdict(estimate, min(first.processes, second.processes)),
        "low_by_rounds": float(by_rounds[1]),
        "high_by_rounds": float(by_rounds[2]),
        "harness_cpu_pct": conditions.harness_cpu_pct,
        "competing_cores": conditions.competing_cores,
        "process_of_round": list(first.process_of_round),
        "samples_ms": [[[round(sample, 4) for sample in turn] for turn in item.samples_ms] for item in found],
    }


@contextmanager
def _running(command: Sequence[str]) -> Iterator[None]:
    """A process beside what is done meanwhile."""
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def counted(part: dict[str, Any], prefix: str) -> dict[str, Any]:
    """What trials of a model against itself come to."""
    trials = part["trials"]
    widths = [trial["high"] - trial["low"] for trial in trials]
    by_rounds = [trial["high_by_rounds"] - trial["low_by_rounds"] for trial in trials]
    return {
        f"{prefix}_trials": len(trials),
        f"{prefix}_covered": sum(trial["low"] <= 1 <= trial["high"] for trial in trials),
        f"{prefix}_false_calls": sum(trial["verdict"] in {"faster", "slower"} for trial in trials),
        f"{prefix}_width_pct": round(100 * median(widths), 2),
        f"{prefix}_covered_by_rounds": sum(trial["low_by_rounds"] <= 1 <= trial["high_by_rounds"] for trial in trials),
        f"{prefix}_width_by_rounds_pct": round(100 * median(by_rounds), 2),
    }
