"""Every artifact on every target: one worker process a pair, rounds interleaved, one worker active at a time."""

import json
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compress.bench.conditions import Watch
from compress.bench.machine import peak_gflops
from compress.bench.process import Status, WorkerProcess
from compress.context import Progress
from compress.errors import CompressError, InputError
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
MEASURING = "measuring"


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


@dataclass
class _Pair:
    """An artifact on a target, and what its worker answered so far."""

    artifact: Artifact
    name: str
    target: Target
    process: WorkerProcess
    facts: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, list[list[float]]] = field(default_factory=lambda: {name: [] for name in SAMPLES})
    logits: Any = None

    @property
    def scored_as(self) -> tuple[object, ...]:
        """What its outputs on all rows depend on: not on threads, nor on the fixed length."""
        target = self.target
        return self.artifact.key, target.runtime, target.device, target.precision, target.batch_size


def measure(
    artifacts: Sequence[Artifact], targets: Mapping[str, Target], bench: Bench
) -> tuple[list[Measurement], dict[str, Conditions]]:
    """Measure all pairs of artifact and target.

    Every pair has a worker process of its own, which stays alive until the last round, so that the machine's drift
    falls on all alike; between its turns it sleeps.

    Args:
        artifacts: each once.

    Returns:
        One measurement a pair, by artifact and then by target, and each target's conditions. What cannot run there is
        skipped with its reason; what dies is failed with its reason, and the others go on.
    """
    done: dict[tuple[str, str], Measurement] = {}
    watches = {name: Watch() for name in targets}
    with tempfile.TemporaryDirectory(prefix="compress-bench-") as scratch:
        measuring = _Measuring(bench, Path(scratch))
        wanted = []
        for artifact in artifacts:
            for name, target in targets.items():
                refused = measuring.refuse(artifact, name, target)
                if refused is None:
                    wanted.append((artifact, name, target))
                else:
                    done[artifact.key, name] = refused
        for pair in measuring.run(wanted, watches):
            done[pair.artifact.key, pair.name] = measuring.result(pair)
    conditions = {}
    for name, target in targets.items():
        kinds = {kind for (_, on), found in done.items() if on == name for kind in found.flops}
        conditions[name] = watches[name].conditions(peak_gflops(kinds, target.threads, target.device))
    return [done[artifact.key, name] for artifact in artifacts for name in targets], conditions


class _Measuring:
    """The measuring of pairs with files in a scratch folder."""

    def __init__(self, bench: Bench, scratch: Path) -> None:
        self.bench, self.scratch = bench, scratch
        self.scored: dict[tuple[object, ...], Any] = {}

    def refuse(self, artifact: Artifact, name: str, target: Target) -> Measurement | None:
        """Why nothing is started for a pair, or None if a worker can try."""
        reason = why_not(artifact.format, target)
        if reason is not None:
            return _empty(artifact, name, "skipped", reason)
        try:
            self._rows(artifact)
        except CompressError as error:  # its tokenizer is not there, or cannot be read
            return _empty(artifact, name, "failed", error.what)
        return None

    def run(self, wanted: Sequence[tuple[Artifact, str, Target]], watches: Mapping[str, Watch]) -> list[_Pair]:
        """Start a worker for each, let them take turns, and end them."""
        pairs: list[_Pair] = []
        rounds = self.bench.spec.rounds
        total = len(wanted) * (1 + rounds)
        order = random.Random(self.bench.seed)
        try:
            for artifact, name, target in wanted:
                self.bench.progress(MEASURING, len(pairs), total)
                pairs.append(self._start(artifact, name, target))
            for turn in range(rounds):
                alive = [pair for pair in pairs if pair.process.status == "measured"]
                for count, pair in enumerate(order.sample(alive, len(alive))):
                    with watches[pair.name].round(pair.process.pid):
                        answer = pair.process.ask({"do": "round", "turn": turn})
                    if answer is not None:
                        for kind in SAMPLES:
                            pair.samples[kind].append(answer[kind])
                    self.bench.progress(MEASURING, len(pairs) + turn * len(pairs) + count + 1, total)
            for pair in pairs:
                for command in ("memory", "flops"):
                    pair.facts |= pair.process.ask({"do": command}) or {}
            if pairs:
                self.bench.progress(MEASURING, total, total)
        finally:
            for pair in pairs:
                pair.process.end()
        return pairs

    def _start(self, artifact: Artifact, name: str, target: Target) -> _Pair:
        """Start a worker, let it load and warm up, and take its outputs on all rows."""
        rows = self._rows(artifact)
        stem = f"{artifact.key[:16]}-{name}"
        worker = WorkerProcess(self.bench.worker, self.scratch / f"{stem}.log", self.bench.spec.max_call_s)
        pair = _Pair(artifact, name, target, worker)
        job = {
            "folder": str(artifact.path.resolve()),
            "target": target.model_dump(),
            "rows": str(rows),
            "hub_task": self.bench.task.hub_task,
            "trust_remote_code": self.bench.trust_remote_code,
            "max_length": self.bench.task.spec.max_length,
            "warmup": self.bench.spec.warmup,
            "samples": self.bench.spec.samples,
        }
        pair.facts |= pair.process.ask(job) or {}
        if pair.scored_as not in self.scored:
            out = self.scratch / f"{stem}.npy"
            if pair.process.ask({"do": "quality", "out": str(out)}) is not None:
                self.scored[pair.scored_as] = np.load(out, allow_pickle=False)
        pair.logits = self.scored.get(pair.scored_as)
        return pair

    def _rows(self, artifact: Artifact) -> Path:
        """The test rows as texts and in the artifact's own tokens, as a file that its worker reads."""
        path = self.scratch / f"{artifact.key[:16]}-rows.json"
        if not path.exists():
            task = self.bench.task
            texts, pairs = task.texts(task.test)
            rows = task.encode(task.test, load_tokenizer(artifact.path))
            path.write_text(json.dumps({"rows": rows, "texts": texts, "pairs": pairs}), encoding="utf-8")
        return path

    def result(self, pair: _Pair) -> Measurement:
        """What the worker's answers come to."""
        task, status, reason = self.bench.task, pair.process.status, pair.process.reason
        if status == "measured" and not np.isfinite(pair.logits).all():
            status, reason = "failed", "the model's outputs are not finite numbers"
        predictions: list[Any] = []
        confidences: list[float] = []
        if status == "measured":
            try:
                predictions, confidences = task.predict(pair.logits)
            except InputError as error:  # it has other classes than the data
                status, reason = "failed", error.what
        empty = _empty(pair.artifact, pair.name, status, reason)
        if status != "measured":
            return empty
        rows = json.loads(self._rows(pair.artifact).read_text(encoding="utf-8"))["rows"]
        return empty.model_copy(
            update={
                "metric": task.spec.metric,
                "quality": task.score(predictions, task.truth(task.test)),
                "predictions": predictions,
                "confidences": confidences,
                "parameters": count_parameters(pair.artifact.path, pair.artifact.format),
                "batch_size": pair.target.batch_size,
                "row_tokens": [len(row["input_ids"]) for row in rows],
                **pair.samples,
                **pair.facts,
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
