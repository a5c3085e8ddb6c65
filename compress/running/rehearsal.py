"""The rehearsal of a plan: every step is made in a process of its own, on few rows and for few optimizer steps.

The rows fill the largest batch. They stand at even places of the order by length, with the longest of all, which need
the most memory. Only the costs are kept: memory, bytes on disk, and seconds, scaled to the whole run by the units of
work that each stage reports.
"""

import logging
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from compress.context import Rehearsal
from compress.errors import CompressError, InputError
from compress.machine.settling import SETTLE_SECONDS
from compress.measurement import Measurement
from compress.planning.plan import Plan
from compress.processes.child import how_it_died, start
from compress.recipe.schema import BenchSpec
from compress.running.journal import Observer
from compress.running.rehearsal_process import OUTPUT
from compress.store.artifacts import Artifact
from compress.store.store import Store
from compress.tasks import Task, with_rows

MEASURED_ROWS = 32
LOOK_SECONDS = 0.05
"""The time between two looks at the memory of the rehearsing process."""
LAST_SECONDS = 10.0
"""The time that the process has to clean up at its end."""


@dataclass(frozen=True)
class Cost:
    """The costs of a step, or of measuring, in the whole run.

    Attributes:
        seconds: the time, scaled from the batches that were measured.
        memory_bytes: the largest resident memory of the process.
        gpu_memory_bytes: the largest memory that torch reserved on the device; None on a CPU.
        artifact_bytes: the disk space that stays taken.
        scratch_bytes: the disk space that is taken besides while the step is at work.
    """

    seconds: float
    memory_bytes: int
    gpu_memory_bytes: int | None = None
    artifact_bytes: int = 0
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Rehearsed:
    """The result of a rehearsal.

    Attributes:
        steps: the costs by the name of the planned step; steps that are done are left out.
        measuring: the cost of measuring; None without targets.
        seconds: the time of the rehearsal itself.
    """

    steps: Mapping[str, Cost]
    measuring: Cost | None
    seconds: float


def rehearse(
    plan: Plan, observer: Observer, host: Mapping[str, Any], store: Store, *, batches: int, done: Mapping[str, Artifact]
) -> Rehearsed:
    """Run every step that is not done on a few batches.

    Args:
        store: the store of the run; scratch files go to the same disk, if the store exists.
        batches: how many batches of rows, each of the largest batch size of all trainings.
        done: the artifacts that the store has, by step.

    Raises:
        CompressError: a step fails, or the process is killed, as it would be in the run.
    """
    start = time.monotonic()
    trainings = [config for step in plan.steps for config in step.stage.trainings(step.config)]
    size = max((config.batch_size * config.gradient_accumulation for config in trainings), default=MEASURED_ROWS)
    task = plan.task
    rehearsal = Rehearsal(len(task.train), len(task.validation), len(task.unlabelled), batches)
    place = store.root / "scratch"
    with tempfile.TemporaryDirectory(
        prefix="rehearsal-", dir=place if place.is_dir() else None, ignore_cleanup_errors=True
    ) as scratch:
        small = _shorten(plan, size, batches)
        watch = _watch(plan, Path(scratch), observer, (small, Path(scratch), dict(done), rehearsal, dict(host)))
        ratio = _rows(task) / max(_rows(small.task), 1)
        steps = {name: watch.cost(name, ratio) for name in watch.pieces if name != "bench"}
        measuring = watch.cost("bench", 1.0) if plan.recipe.targets else None
    if measuring is not None:
        more = sum(_remaining_seconds(item, plan) for item in watch.measurements)
        memory = sum(item.peak_memory_bytes or 0 for item in watch.measurements)
        measuring = Cost(measuring.seconds + more, memory)
    return Rehearsed(steps, measuring, time.monotonic() - start)


def _watch(plan: Plan, scratch: Path, observer: Observer, job: tuple[Any, ...]) -> "_Watch":
    """Start the rehearsing process, and read its messages until it ends.

    Args:
        job: the arguments of `compress.running.rehearsal_process.rehearse_here` after the first.

    Raises:
        CompressError: a step fails, or the process dies.
    """
    ours, theirs = multiprocessing.Pipe()
    with ours, (scratch / OUTPUT).open("wb") as output:
        with theirs:
            command = [sys.executable, "-P", "-m", "compress.running.rehearsal_process", str(theirs.fileno())]
            process = start(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        watch = _Watch(plan, scratch, process.pid, observer)
        try:
            with suppress(OSError):  # the process died while it started
                ours.send(job)
            watch.follow(ours)
        finally:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LAST_SECONDS if watch.ended else 0)
            process.kill()
            code = process.wait()
    if not watch.ended:
        raise watch.death(code)
    return watch


def _rows(task: Task) -> int:
    """The number of rows that a training can see."""
    return len(task.train) + len(task.unlabelled)


def _shorten(plan: Plan, size: int, batches: int) -> Plan:
    """The plan with few rows and few samples."""
    task = plan.task
    short = with_rows(
        task,
        train=_representative_rows(task, task.train, size, batches),
        validation=_representative_rows(task, task.validation, min(size, MEASURED_ROWS), 2),
        unlabelled=_representative_rows(task, task.unlabelled, size, batches),
        test=_representative_rows(task, task.test, MEASURED_ROWS // 4, 4),
    )
    bench = BenchSpec(warmup=min(2, plan.recipe.bench.warmup), rounds=1, samples=2)
    return replace(plan, task=short, recipe=plan.recipe.model_copy(update={"bench": bench}))


def _representative_rows(task: Task, rows: Sequence[Any], size: int, groups: int) -> list[Any]:
    """Rows at even places of the order by length: `groups` times `size` neighbours, with the longest rows of all."""
    if len(rows) <= size * groups:
        return list(rows)
    texts, pairs = task.texts(rows)
    lengths = [len(text) + (len(pairs[row]) if pairs else 0) for row, text in enumerate(texts)]
    order = sorted(range(len(rows)), key=lambda row: lengths[row])
    ends = [len(rows) * (group + 1) // groups for group in range(groups)]
    return [rows[row] for end in ends for row in order[end - size : end]]


def _remaining_seconds(measurement: Measurement, plan: Plan) -> float:
    """The time in seconds that measuring a pair takes in the run beyond what the rehearsal has measured of it."""
    if measurement.status != "measured":
        return 0.0
    fixed, real, words = (
        median(sample for turn in turns for sample in turn) / 1000
        for turns in (measurement.samples_ms, measurement.real_samples_ms, measurement.tokenize_samples_ms)
    )
    spec = plan.recipe.bench
    turn = SETTLE_SECONDS + spec.samples * (fixed + real + words)
    calls = max(len(plan.task.test) - MEASURED_ROWS, 0) / measurement.batch_size
    again = (
        spec.process_of_round[-1] * (measurement.ready_ms or 0)
    ) / 1000  # each further process loads the model again
    warmup = spec.warmup * (fixed + real) * (1 + spec.process_of_round[-1])
    return (spec.rounds - 1) * turn + calls * real + again + warmup


@dataclass
class _Piece:
    """One piece of a step's work, with its reports of progress: (done, total, seconds since the step began)."""

    marks: list[tuple[int, int, float]] = field(default_factory=list)

    def remaining_seconds(self, begin: float) -> float:
        """The time in seconds that the remaining units of the whole run would take.

        Args:
            begin: when the piece began; it counts where there is only one report of progress.
        """
        (first, _, at_first), (last, total, at_last) = self.marks[0], self.marks[-1]
        # the first unit takes longer: memory, kernels and caches are made ready once
        each = (at_last - at_first) / (last - first) if last > first else (at_first - begin) / max(first, 1)
        return max(total - last, 0) * each


class _Watch:
    """The parent's view of the rehearsing process, from its messages and its memory."""

    def __init__(self, plan: Plan, scratch: Path, pid: int, observer: Observer) -> None:
        self.plan, self.scratch, self.observer = plan, scratch, observer
        self.process = psutil.Process(pid)
        self.pieces: dict[str, dict[str, _Piece]] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.measurements: list[Measurement] = []
        self.now = ""
        self.ended = False
        self._began: dict[str, float] = {}

    def follow(self, messages: "Connection[Any, Any]") -> None:
        """Read messages until the process has sent its last one.

        Raises:
            CompressError: the last message says that a step failed.
        """
        while not self.ended:
            try:
                message = messages.recv() if messages.poll(LOOK_SECONDS) else None
            except (EOFError, ConnectionResetError):
                return
            if message is not None:
                getattr(self, f"_{message[0]}")(*message[1:])
            self._look()

    def cost(self, name: str, ratio: float) -> Cost:
        """The costs of a step in the whole run.

        Args:
            ratio: training rows of the whole run over those of the rehearsal; by-products grow by it.
        """
        facts = self.facts[name]
        before, seconds = 0.0, facts["seconds"]
        for piece in self.pieces[name].values():
            seconds += piece.remaining_seconds(before) if name != "bench" else 0.0
            before = piece.marks[-1][2]
        return Cost(
            seconds=seconds,
            memory_bytes=facts.get("memory_bytes", 0),
            gpu_memory_bytes=facts.get("gpu_memory_bytes"),
            artifact_bytes=facts.get("artifact_bytes", 0) + round(facts.get("byproduct_bytes", 0) * ratio),
            scratch_bytes=facts.get("scratch_bytes", 0),
        )

    def death(self, code: int) -> CompressError:
        """The error for a process that ended without a last message."""
        how = how_it_died(code, (self.scratch / OUTPUT).read_text(errors="replace"))
        where = next((step.where for step in self.plan.steps if step.name == self.now), None)
        return CompressError(
            f"the rehearsal of '{self.now or 'the plan'}' died ({how})",
            where=where,
            fix="lower batch_size or max_length, if it was memory",
        )

    def _look(self) -> None:
        if not self.now:
            return
        facts = self.facts[self.now]
        with suppress(psutil.Error):  # the process may have ended; its last message says why
            facts["memory_bytes"] = max(facts.get("memory_bytes", 0), self.process.memory_info().rss)

    def _started(self, name: str, stage: str, at: float) -> None:
        self.now = name
        self.pieces[name], self.facts[name], self._began[name] = {}, {}, at
        self.observer.step_started(name, stage)

    def _progress(self, what: str, done: int, total: int, at: float) -> None:
        marks = self.pieces[self.now].setdefault(what, _Piece()).marks
        marks.append((done, total, at - self._began[self.now]))
        self.observer.progress(what, done, total)

    def _done(self, name: str, stage: str, facts: Mapping[str, Any], at: float) -> None:
        seconds = at - self._began[name]
        self.facts[name] |= {**facts, "seconds": seconds}
        self.observer.step_done(name, stage, seconds, True)

    def _measured(self, measurements: list[Measurement]) -> None:
        self.measurements = measurements

    def _failed(self, is_input: bool, what: str, where: str | None, fix: str | None, trace: str) -> None:
        logging.getLogger(__name__).error("%s", trace)
        raise (InputError if is_input else CompressError)(what, where=where, fix=fix)

    def _ended(self) -> None:
        self.ended = True
