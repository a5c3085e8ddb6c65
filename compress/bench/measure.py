"""Every artifact on every target: one worker process a pair, rounds interleaved, one worker active at a time."""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from compress.context import Progress
from compress.files import folder_bytes
from compress.measurement import Measurement
from compress.models.parameters import count_parameters
from compress.models.tokenizer import load_tokenizer
from compress.recipe import BenchSpec, Target
from compress.runtimes import why_not
from compress.store import Artifact
from compress.tasks import Task


@dataclass
class _Worker:
    """A running worker process and what it answered so far."""

    artifact: Artifact
    target: str
    process: "subprocess.Popen[str]"
    log: Path
    load_ms: float = 0.0
    peak_memory_bytes: int = 0
    logits: Any = None
    samples_ms: list[list[float]] | None = None
    failure: str | None = None

    def ask(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """Send a command and sleep until its answer; None if the process died, with `failure` set."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self._died()
            return None
        return self.answer()

    def answer(self) -> dict[str, Any] | None:
        """Sleep until the next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._died()
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self) -> None:
        code = self.process.wait()
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1][:300] if lines else "no message"
        self.failure = f"killed by signal {-code}" if code < 0 else f"exit code {code}: {last}"


def measure(
    artifacts: Sequence[Artifact],
    targets: Mapping[str, Target],
    task: Task,
    spec: BenchSpec,
    *,
    seed: int,
    trust_remote_code: bool,
    progress: Progress,
) -> list[Measurement]:
    """Measure all pairs of artifact and target.

    Args:
        artifacts: each once.
        seed: of the order of turns within a round.

    Returns:
        One measurement a pair, by artifact and then by target. What cannot run there is skipped with its reason;
        what dies is failed with its reason, and the others go on.
    """
    done: dict[tuple[str, str], Measurement] = {}
    with tempfile.TemporaryDirectory(prefix="compress-bench-") as scratch:
        for name, target in targets.items():
            runnable = []
            for artifact in artifacts:
                reason = why_not(artifact.format, target)
                if reason is None:
                    runnable.append(artifact)
                else:
                    done[artifact.key, name] = _empty(artifact, name, "skipped", reason)
            workers = _measure_target(
                runnable, name, target, task, spec, Path(scratch), seed, trust_remote_code, progress
            )
            for worker in workers:
                done[worker.artifact.key, name] = _result(worker, task, Path(scratch))
    return [done[artifact.key, name] for artifact in artifacts for name in targets]


def _measure_target(
    artifacts: Sequence[Artifact],
    name: str,
    target: Target,
    task: Task,
    spec: BenchSpec,
    scratch: Path,
    seed: int,
    trust_remote_code: bool,
    progress: Progress,
) -> list[_Worker]:
    workers: list[_Worker] = []
    total = len(artifacts) * (1 + spec.rounds)
    try:
        for artifact in artifacts:
            job = {
                "folder": str(artifact.path.resolve()),
                "target": target.model_dump(),
                "rows": str(_encoded_rows(artifact, task, scratch)),
                "hub_task": task.hub_task,
                "trust_remote_code": trust_remote_code,
                "warmup": spec.warmup,
                "samples": spec.samples,
            }
            progress(f"measuring on {name}", len(workers), total)
            workers.append(_start(artifact, name, job, scratch))
        order = random.Random(seed)
        for turn in range(spec.rounds):
            alive = [worker for worker in workers if worker.failure is None]
            for count, worker in enumerate(order.sample(alive, len(alive))):
                answer = worker.ask({"do": "round"})
                if answer is not None:
                    assert worker.samples_ms is not None
                    worker.samples_ms.append(answer["samples_ms"])
                progress(f"measuring on {name}", len(workers) + turn * len(workers) + count + 1, total)
        for worker in workers:
            if worker.failure is None and (answer := worker.ask({"do": "stop"})) is not None:
                worker.peak_memory_bytes = answer["peak_memory_bytes"]
        if workers:
            progress(f"measuring on {name}", total, total)
    finally:
        for worker in workers:
            if worker.peak_memory_bytes == 0:  # it never came to its end
                worker.process.kill()
            worker.process.communicate()
    return workers


def _start(artifact: Artifact, target: str, job: dict[str, Any], scratch: Path) -> _Worker:
    """Start a worker, let it load and warm up, and take its outputs on all rows."""
    log = scratch / f"{artifact.key[:16]}-{target}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "compress.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    worker = _Worker(artifact, target, process, log, samples_ms=[])
    ready = worker.ask(job)
    if ready is not None:
        worker.load_ms = ready["load_ms"]
        out = scratch / f"{artifact.key[:16]}-{target}.npy"
        if worker.ask({"do": "quality", "out": str(out)}) is not None:
            worker.logits = np.load(out, allow_pickle=False)
    return worker


def _encoded_rows(artifact: Artifact, task: Task, scratch: Path) -> Path:
    """The test rows in the artifact's own tokens, as a file that its worker reads."""
    path = scratch / f"{artifact.key[:16]}-rows.json"
    if not path.exists():
        rows = task.encode(task.test, load_tokenizer(artifact.path))
        path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def _result(worker: _Worker, task: Task, scratch: Path) -> Measurement:
    if worker.failure is not None:
        return _empty(worker.artifact, worker.target, "failed", worker.failure)
    if not np.isfinite(worker.logits).all():
        return _empty(worker.artifact, worker.target, "failed", "the model's outputs are not finite numbers")
    rows = json.loads(_encoded_rows(worker.artifact, task, scratch).read_text(encoding="utf-8"))
    labels = np.array([row["labels"] for row in rows])
    return _empty(worker.artifact, worker.target, "measured", None).model_copy(
        update={
            "metric": task.spec.metric,
            "quality": task.score(worker.logits, labels),
            "predictions": worker.logits.argmax(-1).tolist(),
            "samples_ms": worker.samples_ms,
            "load_ms": worker.load_ms,
            "peak_memory_bytes": worker.peak_memory_bytes,
        }
    )


def _empty(
    artifact: Artifact, target: str, status: Literal["measured", "skipped", "failed"], reason: str | None
) -> Measurement:
    return Measurement(
        artifact=artifact.key,
        target=target,
        status=status,
        reason=reason,
        size_bytes=folder_bytes(artifact.path),
        parameters=count_parameters(artifact.path, artifact.format),
    )
