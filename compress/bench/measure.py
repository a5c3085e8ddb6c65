"""Every artifact on every target: fresh worker processes for each pair, rounds interleaved, one active at a time."""

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

from compress.bench.conditions import Watch
from compress.bench.process import Status, WorkerProcess
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

WORKER = (sys.executable, "-P", "-m", "compress.bench.worker")
SAMPLES = ("samples_ms", "real_samples_ms", "tokenize_samples_ms")
MEASURING = "measuring"
STARTED_AT_ONCE = 4
"""Workers that load side by side, where there are as many cores, once the first one's loading was timed."""


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
    """An artifact on a target, and what its workers answered so far.

    Attributes:
        process: the latest worker; once one has failed, no other is started.
    """

    artifact: Artifact
    name: str
    target: Target
    process: WorkerProcess | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, list[list[float]]] = field(default_factory=lambda: {name: [] for name in SAMPLES})
    logits: Any = None

    @property
    def names(self) -> tuple[str, str]:
        """The artifact's key and the target's name."""
        return self.artifact.key, self.name

    @property
    def is_alive(self) -> bool:
        """False once a worker of it has failed."""
        return self.process is None or self.process.status == "measured"

    def ask(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """What its worker answers, or None if that is dead or gives up."""
        return self.process.ask(command) if self.process else None

    @property
    def scored_as(self) -> tuple[object, ...]:
        """What its outputs on all rows depend on: not on threads, nor on the fixed length."""
        target = self.target
        return self.artifact.key, target.runtime, target.device, target.precision, target.batch_size


def measure(
    artifacts: Sequence[Artifact],
    targets: Mapping[str, Target],
    bench: Bench,
    *,
    only: Collection[tuple[str, str]] | None = None,
    known: Mapping[tuple[str, str], Measurement] = MappingProxyType({}),
) -> tuple[list[Measurement], dict[str, Conditions]]:
    """Measure pairs of artifact and target.

    The rounds are spread over several processes of each pair. Those that share rounds live side by side, so that the
    machine's drift falls on all alike; between its turns a process sleeps. Then all are ended, and the next ones start.

    Args:
        artifacts: each once.
        only: the pairs, as the artifact's key and the target's name; left out: all.
        known: what was measured of pairs before: they are timed anew, and all else of them is taken.

    Returns:
        One measurement a pair, by artifact and then by target, and each target's conditions. What cannot run there is
        skipped with its reason; what dies is failed with its reason, and the others go on.
    """
    done: dict[tuple[str, str], Measurement] = {}
    watches = {name: Watch() for name in targets}
    with tempfile.TemporaryDirectory(prefix="compress-bench-") as scratch:
        measuring = _Measuring(bench, Path(scratch), known)
        wanted = []
        for artifact in artifacts:
            for name, target in targets.items():
                if only is not None and (artifact.key, name) not in only:
                    continue
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
    order = [(artifact.key, name) for artifact in artifacts for name in targets]
    return [done[pair] for pair in order if pair in done], conditions


class _Measuring:
    """The measuring of pairs with files in a scratch folder."""

    def __init__(self, bench: Bench, scratch: Path, known: Mapping[tuple[str, str], Measurement]) -> None:
        self.bench, self.scratch, self.known = bench, scratch, known
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
        """Measure each in as many processes as the settings say, one after the other."""
        pairs = [_Pair(*item) for item in wanted]
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
        """Start a worker for each pair, let them take turns, and end them, whatever happens.

        Args:
            number: of the process, from 0. The first also gives what is needed once: outputs, memory, operations.
            turns: numbers of its rounds.
            total: units of progress of all processes: a start and a round are one each.
        """
        done = len(pairs) * (number + turns[0])
        at_once = min(cores_here(), STARTED_AT_ONCE) if number else 1  # the first one's times are reported
        with ThreadPoolExecutor(at_once) as threads, ExitStack() as running:
            for start in range(0, len(pairs), at_once):
                self.bench.progress(MEASURING, done + start, total)
                group = [pair for pair in pairs[start : start + at_once] if pair.is_alive]
                for pair in group:  # by this thread: a worker may end with the one that started it
                    self._start(pair, number, running)
                list(threads.map(self._score if number == 0 else self._load, group))
            done += len(pairs)
            for turn in turns:
                alive = [pair for pair in pairs if pair.is_alive]
                for count, pair in enumerate(order.sample(alive, len(alive)), start=1):
                    self._take_turn(pair, turn, watches[pair.name])
                    self.bench.progress(MEASURING, done + count, total)
                done += len(pairs)
            if number == 0:
                for pair in (pair for pair in pairs if pair.names not in self.known):
                    for command in ("memory", "flops"):
                        pair.facts |= pair.ask({"do": command}) or {}

    def _start(self, pair: _Pair, number: int, running: ExitStack) -> None:
        """Start a worker that ends with `running`; nothing is asked of it yet."""
        log = self.scratch / f"{pair.artifact.key[:16]}-{pair.name}-{number}.log"
        pair.process = WorkerProcess(self.bench.worker, log, self.bench.spec.max_call_s)
        running.callback(pair.process.end)

    def _load(self, pair: _Pair) -> dict[str, Any]:
        """Let a worker load and warm up."""
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
        """Let a pair's first worker load and warm up, and take its outputs on all rows."""
        start = time.perf_counter()
        pair.facts |= self._load(pair)
        pair.facts["ready_ms"] = 1000 * (time.perf_counter() - start)
        if pair.names in self.known:
            return
        if pair.scored_as not in self.scored:
            out = self.scratch / f"{pair.artifact.key[:16]}-{pair.name}.npy"
            if pair.ask({"do": "quality", "out": str(out)}) is not None:
                self.scored[pair.scored_as] = np.load(out, allow_pickle=False)
        pair.logits = self.scored.get(pair.scored_as)

    def _take_turn(self, pair: _Pair, turn: int, watch: Watch) -> None:
        assert pair.process is not None
        with watch.round(pair.process.pid):
            answer = pair.ask({"do": "round", "turn": turn})
        if answer is not None:
            for kind in SAMPLES:
                pair.samples[kind].append(answer[kind])

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
        assert pair.process is not None
        task, status, reason = self.bench.task, pair.process.status, pair.process.reason
        if status == "measured" and pair.names in self.known:
            timed = {"process_of_round": self.bench.spec.process_of_round, **pair.samples}
            return self.known[pair.names].model_copy(update=timed)
        if status == "measured" and not np.isfinite(pair.logits).all():
            status, reason = "failed", "the model's outputs are not finite numbers"
        if status != "measured":
            return _empty(pair.artifact, pair.name, status, reason)
        rows = json.loads(self._rows(pair.artifact).read_text(encoding="utf-8"))["rows"]
        try:
            answers = task.answers(_by_row(pair.logits, rows), task.test)
        except InputError as error:  # it has other classes than the data
            return _empty(pair.artifact, pair.name, "failed", error.what)
        return _empty(pair.artifact, pair.name, status, reason).model_copy(
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


def _by_row(outputs: np.ndarray[Any, Any], rows: Sequence[Mapping[str, Any]]) -> Sequence[np.ndarray[Any, Any]]:
    """A worker's outputs, one below the other, by the rows that they are of."""
    if "counted" not in rows[0]:
        return list(outputs)
    by_row = Ragged(outputs, np.cumsum([sum(row["counted"]) for row in rows]))
    return [by_row[index] for index in range(len(rows))]


def _empty(artifact: Artifact, target: str, status: Status, reason: str | None) -> Measurement:
    try:
        size = size_of(artifact.path, artifact.format)
    except InputError:  # without weights nothing is measured, and the row says why
        size = 0
    return Measurement(artifact=artifact.key, target=target, status=status, reason=reason, size_bytes=size)
