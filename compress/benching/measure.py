"""The measuring of every artifact on every target: fresh processes for each pair, interleaved rounds, one at a time."""

import json
import random
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from compress.benching.conditions import Watch
from compress.benching.process import Status, WorkerProcess
from compress.context import Progress
from compress.errors import CompressError, InputError
from compress.formats import find, size_of, why_not
from compress.machine.kernels import peak_gflops
from compress.machine.processor import cores_here
from compress.measurement import Conditions, Measurement
from compress.models.tokenizer import load_tokenizer
from compress.ops.ragged import Ragged
from compress.recipe.schema import BenchSpec, Target
from compress.store.artifacts import Artifact
from compress.tasks import Task

WORKER = (sys.executable, "-P", "-m", "compress.benching.worker")
SAMPLES = ("samples_ms", "real_samples_ms", "tokenize_samples_ms")
MEASURING = "measuring"
STARTED_AT_ONCE = 4
"""The most workers that load side by side. Those of the first process load one by one: their loading is timed."""


@dataclass(frozen=True)
class Bench:
    """The task, settings and command with which a set of artifacts is measured.

    Attributes:
        seed: the seed for the order of turns within a round.
        worker: the command that starts a worker process.
    """

    task: Task
    spec: BenchSpec
    seed: int
    trust_remote_code: bool
    progress: Progress
    worker: Sequence[str] = WORKER


@dataclass
class _Pair:
    """An artifact on a target, with its workers' answers so far.

    Attributes:
        name: the target's name.
        process: the latest worker; after a failure no other is started.
    """

    artifact: Artifact
    name: str
    target: Target
    process: WorkerProcess | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, list[list[float]]] = field(default_factory=lambda: {name: [] for name in SAMPLES})
    logits: Any = None

    @property
    def key(self) -> tuple[str, str]:
        """The artifact's key and the target's name."""
        return self.artifact.key, self.name

    @property
    def is_alive(self) -> bool:
        """Whether none of its workers has failed."""
        return self.process is None or self.process.status == "measured"

    def ask(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """The worker's answer to a command; None if the worker is dead or gives up."""
        return self.process.ask(command) if self.process else None

    @property
    def outputs_key(self) -> tuple[object, ...]:
        """Everything that its outputs on all rows depend on: neither the threads nor the fixed length."""
        target = self.target
        return self.artifact.key, target.runtime, target.device, target.precision, target.batch_size


def measure(
    artifacts: Sequence[Artifact],
    targets: Mapping[str, Target],
    bench: Bench,
    *,
    only: Collection[tuple[str, str]] | None = None,
    earlier: Mapping[tuple[str, str], Measurement] = MappingProxyType({}),
) -> tuple[list[Measurement], dict[str, Conditions]]:
    """Measure pairs of artifact and target.

    The rounds of a pair are spread over several processes, one after the other. Processes of different pairs live side
    by side and take turns, so that the machine's drift affects all alike; a process sleeps between its turns.

    Args:
        artifacts: the artifacts, each once.
        only: the pairs to measure, as the artifact's key and the target's name; None: all.
        earlier: measurements of pairs from before: these pairs are timed again, and keep all other numbers.

    Returns:
        One measurement for each pair, by artifact and then by target, and the conditions of each target. A pair that
        cannot run is skipped and one that dies is failed, each with its reason; the others go on.
    """
    measurements: dict[tuple[str, str], Measurement] = {}
    watches = {name: Watch() for name in targets}
    with tempfile.TemporaryDirectory(prefix="compress-bench-") as scratch:
        measurer = _Measurer(bench, Path(scratch), earlier)
        jobs = []
        for artifact in artifacts:
            for name, target in targets.items():
                if only is not None and (artifact.key, name) not in only:
                    continue
                refusal = measurer.refuse(artifact, name, target)
                if refusal is None:
                    jobs.append((artifact, name, target))
                else:
                    measurements[artifact.key, name] = refusal
        for pair in measurer.run(jobs, watches):
            measurements[pair.artifact.key, pair.name] = measurer.result(pair)
    conditions = {}
    for name, target in targets.items():
        kinds = {kind for (_, on), measurement in measurements.items() if on == name for kind in measurement.flops}
        conditions[name] = watches[name].conditions(peak_gflops(kinds, target.threads, target.device))
    order = [(artifact.key, name) for artifact in artifacts for name in targets]
    return [measurements[pair] for pair in order if pair in measurements], conditions


class _Measurer:
    """Measures pairs of artifact and target, with files in a scratch folder."""

    def __init__(self, bench: Bench, scratch: Path, earlier: Mapping[tuple[str, str], Measurement]) -> None:
        self.bench, self.scratch, self.earlier = bench, scratch, earlier
        self.outputs: dict[tuple[object, ...], Any] = {}

    def refuse(self, artifact: Artifact, name: str, target: Target) -> Measurement | None:
        """The measurement of a pair for which no worker can be started, with the reason; None if one can."""
        reason = why_not(artifact.format, target)
        if reason is not None:
            return _measurement(artifact, name, "skipped", reason)
        try:
            self._rows(artifact)
        except CompressError as error:  # the tokenizer is missing, or cannot be read
            return _measurement(artifact, name, "failed", error.what)
        return None

    def run(self, jobs: Sequence[tuple[Artifact, str, Target]], watches: Mapping[str, Watch]) -> list[_Pair]:
        """Measure each pair in as many processes as the settings say, one after the other."""
        pairs = [_Pair(*item) for item in jobs]
        process_of_round = self.bench.spec.process_of_round
        total = len(pairs) * (process_of_round[-1] + 1 + len(process_of_round))
        order = random.Random(self.bench.seed)
        for number, turns in groupby(range(len(process_of_round)), key=process_of_round.__getitem__):
            self._in_one_process(pairs, number, list(turns), order, watches, total)
        if pairs:
            self.bench.progress(MEASURING, total, total)
        return pairs

    def _in_one_process(
        self,
        pairs: Sequence[_Pair],
        number: int,
        turns: Sequence[int],
        order: random.Random,
        watches: Mapping[str, Watch],
        total: int,
    ) -> None:
        """Start a worker for each pair, let them take turns, and end them whatever happens.

        Args:
            number: the number of the process, from 0. The first one also gives outputs, memory and operations.
            turns: the numbers of its rounds.
            total: units of progress of all processes: each start and each round is one.
        """
        units_done = len(pairs) * (number + turns[0])
        at_once = min(cores_here(), STARTED_AT_ONCE) if number else 1  # the first one's times are reported
        with ThreadPoolExecutor(at_once) as threads, ExitStack() as running:
            for start in range(0, len(pairs), at_once):
                self.bench.progress(MEASURING, units_done + start, total)
                group = [pair for pair in pairs[start : start + at_once] if pair.is_alive]
                for pair in group:  # by this thread: a worker may end with the one that started it
                    self._start(pair, number, running)
                list(threads.map(self._score if number == 0 else self._load, group))
            units_done += len(pairs)
            for turn in turns:
                alive = [pair for pair in pairs if pair.is_alive]
                for count, pair in enumerate(order.sample(alive, len(alive)), start=1):
                    self._time_round(pair, turn, watches[pair.name])
                    self.bench.progress(MEASURING, units_done + count, total)
                units_done += len(pairs)
            if number == 0:
                for pair in (pair for pair in pairs if pair.key not in self.earlier):
                    for command in ("memory", "flops"):
                        pair.facts |= pair.ask({"do": command}) or {}

    def _start(self, pair: _Pair, number: int, running: ExitStack) -> None:
        """Start a worker, without a command yet; it ends with `running`."""
        log = self.scratch / f"{pair.artifact.key[:16]}-{pair.name}-{number}.log"
        pair.process = WorkerProcess(self.bench.worker, log, self.bench.spec.max_call_s)
        running.callback(pair.process.end)

    def _load(self, pair: _Pair) -> dict[str, Any]:
        """Let a worker load its model and warm up."""
        job = {
            "folder": str(pair.artifact.path.resolve()),
            "format": pair.artifact.format,
            "target": pair.target.model_dump(),
            "rows": str(self._rows(pair.artifact)),
            "hub_task": self.bench.task.hub_task,
            "trust_remote_code": self.bench.trust_remote_code,
            "max_length": self.bench.task.spec.max_length,
            "warmup": self.bench.spec.warmup,
            "samples": self.bench.spec.samples,
        }
        return pair.ask(job) or {}

    def _score(self, pair: _Pair) -> None:
        """Let a pair's first worker load and warm up, and keep its outputs on all rows."""
        start = time.perf_counter()
        pair.facts |= self._load(pair)
        pair.facts["ready_ms"] = 1000 * (time.perf_counter() - start)
        if pair.key in self.earlier:
            return
        if pair.outputs_key not in self.outputs:
            out = self.scratch / f"{pair.artifact.key[:16]}-{pair.name}.npy"
            if pair.ask({"do": "quality", "out": str(out)}) is not None:
                self.outputs[pair.outputs_key] = np.load(out, allow_pickle=False)
        pair.logits = self.outputs.get(pair.outputs_key)

    def _time_round(self, pair: _Pair, turn: int, watch: Watch) -> None:
        assert pair.process is not None
        with watch.round(pair.process.pid):
            answer = pair.ask({"do": "round", "turn": turn})
        if answer is not None:
            for kind in SAMPLES:
                pair.samples[kind].append(answer[kind])

    def _rows(self, artifact: Artifact) -> Path:
        """The file that a worker reads: the test rows as texts, and in the tokens of the artifact."""
        path = self.scratch / f"{artifact.key[:16]}-rows.json"
        if not path.exists():
            task = self.bench.task
            texts, pairs = task.texts(task.test)
            rows = task.encode(task.test, load_tokenizer(artifact.path))
            path.write_text(json.dumps({"rows": rows, "texts": texts, "pairs": pairs}), encoding="utf-8")
        return path

    def result(self, pair: _Pair) -> Measurement:
        """The measurement of a pair, from its workers' answers."""
        assert pair.process is not None
        task, status, reason = self.bench.task, pair.process.status, pair.process.reason
        if status == "measured" and pair.key in self.earlier:
            samples = {"process_of_round": self.bench.spec.process_of_round, **pair.samples}
            return self.earlier[pair.key].model_copy(update=samples)
        if status == "measured" and not np.isfinite(pair.logits).all():
            status, reason = "failed", "the model's outputs are not finite numbers"
        if status != "measured":
            return _measurement(pair.artifact, pair.name, status, reason)
        rows = json.loads(self._rows(pair.artifact).read_text(encoding="utf-8"))["rows"]
        try:
            answers = task.answers(_outputs_by_row(pair.logits, rows), task.test)
        except InputError as error:  # it has other classes than the data
            return _measurement(pair.artifact, pair.name, "failed", error.what)
        return _measurement(pair.artifact, pair.name, status, reason).model_copy(
            update={
                "predictions": answers.content,
                "confidences": answers.confidences,
                "parameters": find(pair.artifact.format).parameters(pair.artifact.path),
                "batch_size": pair.target.batch_size,
                "row_tokens": [len(row["input_ids"]) for row in rows],
                "process_of_round": self.bench.spec.process_of_round,
                **pair.samples,
                **pair.facts,
            }
        )


def _outputs_by_row(outputs: np.ndarray[Any, Any], rows: Sequence[Mapping[str, Any]]) -> Sequence[np.ndarray[Any, Any]]:
    """A worker's outputs, split by row."""
    if "counted" not in rows[0]:
        return list(outputs)
    by_row = Ragged(outputs, np.cumsum([sum(row["counted"]) for row in rows]))
    return [by_row[index] for index in range(len(rows))]


def _measurement(artifact: Artifact, target: str, status: Status, reason: str | None) -> Measurement:
    try:
        size = size_of(artifact.path, artifact.format)
    except InputError:  # without weights nothing is measured, and the row says why
        size = 0
    return Measurement(artifact=artifact.key, target=target, status=status, reason=reason, size_bytes=size)
