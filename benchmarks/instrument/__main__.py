"""Measure things whose speed and size are known, and write how far off the instrument reads."""

import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from compress.bench.host import host_facts
from compress.bench.measure import WORKER, Bench, measure
from compress.measurement import Conditions, Measurement
from compress.ops.statistics import speed_verdict, speedup
from compress.recipe import BenchSpec, Target, TaskSpec
from compress.store import Artifact
from compress.tasks import Task, load_task, with_rows
from compress.validation import Origin

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COMPRESS = [sys.executable, "-m", "compress"]
FAKE_WORKER = [sys.executable, "-m", "benchmarks.instrument.fake_worker"]
TRIALS = 40
SLEEPS_MS = (5, 20, 100)
ALLOCATED_MB = 200
ROWS = 64
SMALL = [
    "--set", "task.train_rows=480", "--set", "teacher.epochs=1", "--set", "student.epochs=1",
    "--set", "pruned.recover={epochs: 1, train_length: 48, learning_rate: 5.0e-4}", "--set", "goal=null",
]  # fmt: skip


def main() -> None:
    """Measure, print the figures, write raw results and the summary."""
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch) / "runs"
        command = [*COMPRESS, "run", str(ROOT / "recipes" / "quickstart.yaml"), "--runs-dir", str(runs), *SMALL]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        steps = runs / "quickstart" / "steps"
        test = Path(scratch) / "test.csv"
        task = write_rows(runs / "quickstart" / "report.json", test)
        trials = same_against_itself({"int8": steps / "int8", "onnx": steps / "onnx"}, task)
        sleeps = known_sleeps(Path(scratch), steps / "onnx", task)
        allocation = known_allocation(Path(scratch), steps / "onnx", task)
        on_terminal = harness_on_a_terminal([steps / "onnx", steps / "int8"], test, Path(scratch) / "out")
    harness = [trial["harness_cpu_pct"] for trial in trials]
    summary = {
        "aa_trials": len(trials),
        "aa_covered": sum(trial["low"] <= 1 <= trial["high"] for trial in trials),
        "aa_false_calls": sum(trial["verdict"] in {"faster", "slower"} for trial in trials),
        "sleep_error_pct_max": round(max(item["error_pct"] for item in sleeps), 3),
        "alloc_error_pct_max": round(allocation["error_pct"], 3),
        "harness_cpu_pct": round(max(*harness, on_terminal), 3),
    }
    raw: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host_facts(),
        "bench": BenchSpec().model_dump(),
        "target": Target().model_dump(),
        "harness_cpu_pct_without_terminal": harness,
        "harness_cpu_pct_on_a_terminal": on_terminal,
        "sleeps": sleeps,
        "allocation": allocation,
        "trials": trials,
    }
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "instrument.json").write_text(json.dumps(raw) + "\n")
    (results / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))


def write_rows(report: Path, path: Path) -> Task:
    """A few texts with the run's labels; what they say does not matter here, how long they are does."""
    labels = json.loads(report.read_text())["test"]["labels"]
    words = "the company said its first quarter net profit rose to dlrs a share from a year earlier".split()
    lines = ["text,label"]
    for number in range(ROWS):
        length = 8 + (number * 37) % 150  # 8 to 157 words
        text = " ".join(words[(number + place) % len(words)] for place in range(length))
        lines.append(f"{text},{labels[number % len(labels)]}")
    path.write_text("\n".join(lines) + "\n")
    spec = TaskSpec(test=str(path))
    from compress.data.sources import Sources

    return load_task(spec, Sources().table, 0, Origin(), labels=labels)


def bench_of(task: Task, seed: int, spec: BenchSpec | None = None, worker: Sequence[str] = WORKER) -> Bench:
    """The instrument with its default settings."""
    return Bench(task, spec or BenchSpec(), seed, False, lambda *_: None, worker)


def same_against_itself(folders: Mapping[str, Path], task: Task) -> list[dict[str, Any]]:
    """Each trial measures one folder twice, as two artifacts, in fresh processes; the folders take turns."""
    trials = []
    names = list(folders)
    for number in range(TRIALS):
        name = names[number % len(names)]
        twins = [Artifact(folders[name].resolve(), digit * 64, "onnx") for digit in "01"]
        found, conditions = measure(twins, {"cpu": Target()}, bench_of(task, number))
        trials.append(_trial(name, found, conditions["cpu"]))
        told = trials[-1]
        interval = f"[{told['low']:.3f}, {told['high']:.3f}]"
        print(f"  {number + 1:>2} {name:<5} {told['speedup']:.3f} {interval} {told['verdict']}", flush=True)
    return trials


def _trial(name: str, found: Sequence[Measurement], conditions: Conditions) -> dict[str, Any]:
    estimate = speedup(found[0].samples_ms, found[1].samples_ms)
    return {
        "artifact": name,
        "speedup": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "verdict": speed_verdict(estimate),
        "harness_cpu_pct": conditions.harness_cpu_pct,
        "competing_cores": conditions.competing_cores,
        "samples_ms": [[[round(sample, 4) for sample in turn] for turn in item.samples_ms] for item in found],
    }


def known_sleeps(scratch: Path, model: Path, task: Task) -> list[dict[str, Any]]:
    """Fake models that sleep a known time, through the whole instrument."""
    artifacts = [fake(scratch / f"sleep-{ms}", model, sleep_ms=ms, allocate_mb=0) for ms in SLEEPS_MS]
    short = with_rows(task, test=task.test[:8])
    spec = BenchSpec(rounds=5)
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
    return read


def known_allocation(scratch: Path, model: Path, task: Task) -> dict[str, Any]:
    """A fake model that holds a known amount of memory: what the process grew by since before loading."""
    artifact = fake(scratch / "allocation", model, sleep_ms=0, allocate_mb=ALLOCATED_MB)
    (found,), _ = measure([artifact], {"cpu": Target()}, bench_of(task, 0, BenchSpec(rounds=1), FAKE_WORKER))
    assert found.peak_memory_bytes is not None, found.reason
    assert found.start_memory_bytes is not None
    grown = (found.peak_memory_bytes - found.start_memory_bytes) / 1e6
    return {"known_mb": ALLOCATED_MB, "read_mb": grown, "error_pct": 100 * abs(grown - ALLOCATED_MB) / ALLOCATED_MB}


def fake(folder: Path, model: Path, **known: float) -> Artifact:
    """A folder that the fake worker reads; all but what it sleeps and holds is the real model's."""
    folder.mkdir()
    for path in model.resolve().iterdir():
        if path.suffix in {".json", ".onnx"}:
            (folder / path.name).symlink_to(path)
    (folder / "fake.json").write_text(json.dumps(known))
    return Artifact(folder, folder.name.ljust(64, "0"), "onnx")


def harness_on_a_terminal(folders: Sequence[Path], test: Path, out: Path) -> float:
    """CPU of the measuring process, in percent of the rounds' time, while it draws its bars on a terminal."""
    command = [*COMPRESS, "bench", *map(str, folders), "--data", str(test), "--out", str(out)]
    status = pty.spawn(command, lambda terminal: os.read(terminal, 65536) and b" ")
    assert os.waitstatus_to_exitcode(status) == 0
    conditions = json.loads((out / "report.json").read_text())["conditions"]
    return float(max(found["harness_cpu_pct"] for found in conditions.values()))


if __name__ == "__main__":
    main()
