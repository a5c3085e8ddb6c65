"""Every artifact on every target: one worker process a pair, rounds interleaved, one worker active at a time."""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from compress.bench.conditions import Watch
from compress.bench.machine import peak_gflops
from compress.context import Progress
from compress.errors import CompressError
from compress.files import folder_bytes
from compress.measurement import Conditions, Measurement
from compress.models.parameters import count_parameters
from compress.models.tokenizer import load_tokenizer
from compress.recipe import BenchSpec, Target
from compress.runtimes import why_not
from compress.store import Artifact
from compress.tasks import Task

WORKER = (sys.executable, "-P", "-m", "compress.bench.worker")
SAMPLES = ("samples_ms", "real_samples_ms", "tokenize_samples_ms")

Status = Literal["measured", "skipped", "failed"]


@dataclass
class _Worker:
    """A running worker process and what it answered so far."""

    artifact: Artifact
    target: str
    process: "subprocess.Popen[str]"
    log: Path
    facts: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, list[list[float]]] = field(default_factory=lambda: {name: [] for name in SAMPLES})
    logits: Any = None
    status: Status = "measured"
    reason: str | None = None

    def ask(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """Send a command and sleep until its answer; None if the process gave up or died, with its reason kept."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # why it went is in its answer, or in its end
        return self._answer()

    def _answer(self) -> dict[str, Any] | None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._died()
            return None
        answer: dict[str, Any] = json.loads(line)
        for status in ("skipped", "failed"):
            if status in answer:
                self.status, self.reason = status, answer[status]
                return None
        return answer

    def _died(self) -> None:
        code = self.process.wait()
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1][:300] if lines else "no message"
        self.status = "failed"
        self.reason = _signal(-code) if code < 0 else f"exit code {code}: {last}"


def _signal(number: int) -> str:
    meaning = {9: ": probably out of memory", 11: ": segmentation fault", 6: ": aborted", 4: ": illegal instruction"}
    return f"killed by signal {number}{meaning.get(number, '')}"


@dataclass(frozen=True)
class Bench:
    """How a set of artifacts is measured.

    Attributes:
        seed: of the order of turns within a round.
        worker: the command of a worker process.
    """

    task: Task
    spec: BenchSpec
    seed: int
    trust_remote_code: bool
    progress: Progress
    worker: Sequence[str] = WORKER


def measure(
    artifacts: Sequence[Artifact], targets: Mapping[str, Target], bench: Bench
) -> tuple[list[Measurement], dict[str, Conditions]]:
    """Measure all pairs of artifact and target.

    Args:
        artifacts: each once.

    Returns:
        One measurement a pair, by artifact and then by target, and each target's conditions. What cannot run there is
        skipped with its reason; what dies is failed with its reason, and the others go on.
    """
    done: dict[tuple[str, str], Measurement] = {}
    conditions: dict[str, Conditions] = {}
    scored: dict[tuple[Any, ...], Any] = {}
    with tempfile.TemporaryDirectory(prefix="compress-bench-") as scratch:
        for name, target in targets.items():
            on_target = _OnTarget(name, target, bench, Path(scratch), scored)
            runnable = []
            for artifact in artifacts:
                refused = on_target.refuse(artifact)
                if refused is None:
                    runnable.append(artifact)
                else:
                    done[artifact.key, name] = refused
            for worker in on_target.run(runnable):
                done[worker.artifact.key, name] = on_target.result(worker)
            kinds = {kind for (_, on), found in done.items() if on == name for kind in found.flops}
            peaks = peak_gflops(kinds, target.threads, target.device)
            conditions[name] = on_target.watch.conditions(peaks)
    return [done[artifact.key, name] for artifact in artifacts for name in targets], conditions


class _OnTarget:
    """The measuring of some artifacts on one target."""

    def __init__(
        self, name: str, target: Target, bench: Bench, scratch: Path, scored: dict[tuple[Any, ...], Any]
    ) -> None:
        self.name, self.target, self.bench, self.scratch = name, target, bench, scratch
        self.scored = scored  # outputs on all rows do not depend on a target's threads and sequence length
        self.watch = Watch()

    def refuse(self, artifact: Artifact) -> Measurement | None:
        """Why nothing is started for an artifact, or None if a worker can try."""
        reason = why_not(artifact.format, self.target)
        if reason is not None:
            return _empty(artifact, self.name, "skipped", reason)
        try:
            self._rows(artifact)
        except CompressError as error:  # its tokenizer is not there, or cannot be read
            return _empty(artifact, self.name, "failed", error.what)
        return None

    def run(self, artifacts: Sequence[Artifact]) -> list[_Worker]:
        """Start a worker for each, let them take turns, and end them."""
        workers: list[_Worker] = []
        rounds = self.bench.spec.rounds
        total = len(artifacts) * (1 + rounds)
        what = f"measuring on {self.name}"
        order = random.Random(self.bench.seed)
        try:
            for artifact in artifacts:
                self.bench.progress(what, len(workers), total)
                workers.append(self._start(artifact))
            for turn in range(rounds):
                alive = [worker for worker in workers if worker.status == "measured"]
                for count, worker in enumerate(order.sample(alive, len(alive))):
                    self._round(worker, turn)
                    self.bench.progress(what, len(workers) + turn * len(workers) + count + 1, total)
            for worker in workers:
                for command in ("memory", "flops"):
                    if worker.status == "measured":
                        worker.facts |= worker.ask({"do": command}) or {}
            if workers:
                self.bench.progress(what, total, total)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.communicate()
        return workers

    def _start(self, artifact: Artifact) -> _Worker:
        """Start a worker, let it load and warm up, and take its outputs on all rows."""
        rows = self._rows(artifact)
        log = self.scratch / f"{artifact.key[:16]}-{self.name}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                self.bench.worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        worker = _Worker(artifact, self.name, process, log)
        job = {
            "folder": str(artifact.path.resolve()),
            "target": self.target.model_dump(),
            "rows": str(rows),
            "hub_task": self.bench.task.hub_task,
            "trust_remote_code": self.bench.trust_remote_code,
            "max_length": self.bench.task.spec.max_length,
            "warmup": self.bench.spec.warmup,
            "samples": self.bench.spec.samples,
        }
        worker.facts |= worker.ask(job) or {}
        if worker.status != "measured":
            return worker
        target = self.target
        same = (artifact.key, target.runtime, target.device, target.precision, target.batch_size)
        out = self.scratch / f"{artifact.key[:16]}-{self.name}.npy"
        if same not in self.scored and worker.ask({"do": "quality", "out": str(out)}) is not None:
            self.scored[same] = np.load(out, allow_pickle=False)
        worker.logits = self.scored.get(same)
        return worker

    def _round(self, worker: _Worker, turn: int) -> None:
        with self.watch.round(worker.process.pid):
            answer = worker.ask({"do": "round", "turn": turn})
        if answer is not None:
            for name in SAMPLES:
                worker.samples[name].append(answer[name])

    def _rows(self, artifact: Artifact) -> Path:
        """The test rows as texts and in the artifact's own tokens, as a file that its worker reads."""
        path = self.scratch / f"{artifact.key[:16]}-rows.json"
        if not path.exists():
            task = self.bench.task
            texts, pairs = task.texts(task.test)
            rows = task.encode(task.test, load_tokenizer(artifact.path))
            path.write_text(json.dumps({"rows": rows, "texts": texts, "pairs": pairs}), encoding="utf-8")
        return path

    def result(self, worker: _Worker) -> Measurement:
        """What the worker's answers come to."""
        task = self.bench.task
        if worker.status == "measured" and not np.isfinite(worker.logits).all():
            worker.status, worker.reason = "failed", "the model's outputs are not finite numbers"
        empty = _empty(worker.artifact, worker.target, worker.status, worker.reason)
        if worker.status != "measured":
            return empty
        rows = json.loads(self._rows(worker.artifact).read_text(encoding="utf-8"))["rows"]
        predictions, confidences = task.predict(worker.logits)
        return empty.model_copy(
            update={
                "metric": task.spec.metric,
                "quality": task.score(predictions, task.truth(task.test)),
                "predictions": predictions,
                "confidences": confidences,
                "parameters": count_parameters(worker.artifact.path, worker.artifact.format),
                "batch_size": self.target.batch_size,
                "row_tokens": [len(row["input_ids"]) for row in rows],
                **worker.samples,
                **worker.facts,
            }
        )


def _empty(artifact: Artifact, target: str, status: Status, reason: str | None) -> Measurement:
    return Measurement(
        artifact=artifact.key,
        target=target,
        status=status,
        reason=reason,
        size_bytes=folder_bytes(artifact.path),
    )
