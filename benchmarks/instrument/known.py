"""What is known beforehand: models that sleep or hold memory, and the harness's own use of the processor."""

import json
import os
import pty
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.instrument.models import COMPRESS, Models, bench_of
from compress.benching.measure import measure
from compress.recipe.schema import BenchSpec, Target
from compress.store.artifacts import Artifact
from compress.tasks import with_rows

FAKE_WORKER = (sys.executable, "-P", str(Path(__file__).with_name("fake_worker.py")))
SLEEPS_MS = (5, 20, 100)
ALLOCATED_MB = 200


def known_sleeps(models: Models) -> dict[str, Any]:
    """Fake models that sleep a known time, through the whole instrument."""
    artifacts = [fake(models, f"sleep-{ms}", sleep_ms=ms, allocate_mb=0) for ms in SLEEPS_MS]
    short = with_rows(models.task, test=models.task.test[:8])
    spec = BenchSpec(rounds=5, processes=1)
    found, _ = measure(artifacts, {"cpu": Target()}, bench_of(short, 0, spec, FAKE_WORKER))
    read = []
    for known, item in zip(SLEEPS_MS, found, strict=True):
        assert item.status == "measured", item.reason
        p50 = median(sample for turn in item.samples_ms for sample in turn)
        read.append(
            {
                "known_ms": known,
                "p50_ms": p50,
                "error_pct": 100 * abs(p50 - known) / known,
                "samples_ms": item.samples_ms,
            }
        )
    return {"sleeps": read}


def known_allocation(models: Models) -> dict[str, Any]:
    """A fake model that holds a known amount of memory: what the process grew by since before loading."""
    artifact = fake(models, "allocation", sleep_ms=0, allocate_mb=ALLOCATED_MB)
    spec = BenchSpec(rounds=1)
    (found,), _ = measure([artifact], {"cpu": Target()}, bench_of(models.task, 0, spec, FAKE_WORKER))
    assert found.peak_memory_bytes is not None, found.reason
    assert found.start_memory_bytes is not None
    grown = (found.peak_memory_bytes - found.start_memory_bytes) / 1e6
    return {"known_mb": ALLOCATED_MB, "read_mb": grown, "error_pct": 100 * abs(grown - ALLOCATED_MB) / ALLOCATED_MB}


def fake(models: Models, name: str, **known: float) -> Artifact:
    """A folder that the fake worker reads; all but what it sleeps and holds is the real model's."""
    folder = models.scratch / name
    folder.mkdir()
    for path in models.folders["onnx"].resolve().iterdir():
        if path.suffix in {".json", ".onnx"}:
            (folder / path.name).symlink_to(path)
    (folder / "fake.json").write_text(json.dumps(known))
    return Artifact(folder, name.ljust(64, "0"), "onnx")


def harness_on_a_terminal(models: Models) -> dict[str, Any]:
    """CPU of the measuring process, in percent of the rounds' time, while it draws its bars on a terminal."""
    out = models.scratch / "out"
    command = [*COMPRESS, "bench", *map(str, models.folders.values()), "--data", str(models.test), "--out", str(out)]
    status = pty.spawn(command, lambda terminal: os.read(terminal, 65536) and b" ")
    assert os.waitstatus_to_exitcode(status) == 0
    conditions = json.loads((out / "report.json").read_text())["conditions"]
    return {"harness_cpu_pct": float(max(found["harness_cpu_pct"] for found in conditions.values()))}
