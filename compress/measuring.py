"""Measurements of a plan's artifacts, or of any model folders, and the report that is made of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress import __version__
from compress.bench.host import host_facts, same_machine
from compress.bench.measure import measure
from compress.context import Progress
from compress.data.sources import Sources
from compress.files import fingerprint, write_text
from compress.measurement import Measurement
from compress.models.architectures import labels_of
from compress.plan import Plan, format_of
from compress.recipe import BenchSpec, Target, TaskSpec
from compress.report.build import Entry, Report, build_rows, judge
from compress.store import Artifact
from compress.tasks import Task, load_task
from compress.validation import Origin

BENCH_VERSION = 1
"""Raised when measuring changes, so that old measurements are not taken for new ones."""


@dataclass(frozen=True)
class Measured:
    """Measurements, and when and where they were taken.

    Attributes:
        is_new: False if they are those of an earlier run.
    """

    measurements: Sequence[Measurement]
    created: str
    host: dict[str, Any]
    is_new: bool


def measure_plan(
    plan: Plan, artifacts: Mapping[str, Artifact], folder: Path, host: dict[str, Any], progress: Progress
) -> Measured:
    """Measure all that the plan's report needs; what `folder` keeps is used if nothing that it depends on changed.

    Args:
        artifacts: by the name of the planned step.
        folder: of the run; keeps `measurements.json`.
    """
    wanted = {
        artifact.key: artifact
        for value in (*plan.baselines.values(), *(subject.measured for subject in plan.subjects))
        for artifact in (_artifact(value, artifacts),)
    }
    key = fingerprint(
        {
            "version": BENCH_VERSION,
            "artifacts": sorted(wanted),
            "targets": {name: target.model_dump() for name, target in plan.recipe.targets.items()},
            "bench": plan.recipe.bench.model_dump(),
            "test": plan.task.test_key,
        }
    )
    path = folder / "measurements.json"
    kept = _kept(path, key, host)
    if kept is not None:
        return kept
    taken = measure(
        list(wanted.values()),
        plan.recipe.targets,
        plan.task,
        plan.recipe.bench,
        seed=plan.recipe.seed,
        trust_remote_code=plan.recipe.trust_remote_code,
        progress=progress,
    )
    measured = Measured(taken, _now(), host, is_new=True)
    if all(found.status != "failed" for found in taken):
        dumped = [found.model_dump() for found in taken]
        content = {"key": key, "created": measured.created, "host": host, "measurements": dumped}
        write_text(path, json.dumps(content))
    return measured


def _kept(path: Path, key: str, host: dict[str, Any]) -> Measured | None:
    """The measurements in `path` if they are those of `key`, taken on this machine."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key or not same_machine(content["host"], host):
            return None
        found = [Measurement.model_validate(item) for item in content["measurements"]]
        return Measured(found, content["created"], content["host"], is_new=False)
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # there is none, or none that can be read: it is measured anew


def report_plan(plan: Plan, artifacts: Mapping[str, Artifact], measured: Measured) -> Report:
    """The report of a plan that has run."""
    entries = []
    for subject in plan.subjects:
        stands_for = _artifact(subject.measured, artifacts)
        made = artifacts.get(subject.step)
        seconds = made.manifest.seconds if made and made.manifest else None
        entries.append(Entry(subject.step, subject.stage, subject.target, stands_for.key, stands_for.format, seconds))
    baselines = {name: _artifact(value, artifacts).key for name, value in plan.baselines.items()}
    report = _report(plan.recipe.name, plan.task, plan.recipe.targets, plan.baseline, entries, baselines, measured)
    goal = judge(plan.recipe.goal, report.rows, plan.recipe.steps[-1].name)
    return report.model_copy(update={"seed": plan.recipe.seed, "goal": goal})


def bench_folders(
    folders: Sequence[Path], spec: TaskSpec, target: Target, bench: BenchSpec, seed: int, progress: Progress
) -> Report:
    """Measure any model folders on one target; the first is the baseline.

    Raises:
        InputError: a folder is no model, or its labels are not the first one's.
    """
    origin = Origin()
    sources = Sources()
    found = [sources.model(str(folder), origin.path) for folder in folders]
    artifacts = [Artifact(item.path, fingerprint(item.key), format_of(item.path)) for item in found]
    labels = [labels_of(artifact.path) for artifact in artifacts]
    task = load_task(spec, sources.table, seed, origin, labels=labels[0])
    for artifact, known in zip(artifacts, labels, strict=True):
        task.check_labels(dict(enumerate(known)), str(artifact.path), str(artifact.path))
    unique = {artifact.key: artifact for artifact in artifacts}
    targets = {"bench": target}
    taken = measure(list(unique.values()), targets, task, bench, seed=seed, trust_remote_code=False, progress=progress)
    entries = [
        Entry(folder.name or str(folder), "source", "bench", artifact.key, artifact.format, None)
        for folder, artifact in zip(folders, artifacts, strict=True)
    ]
    measured = Measured(taken, _now(), host_facts(), is_new=True)
    report = _report("bench", task, targets, entries[0].step, entries, {"bench": artifacts[0].key}, measured)
    return report.model_copy(update={"seed": seed})


def _report(
    name: str,
    task: Task,
    targets: Mapping[str, Target],
    baseline: str,
    entries: Sequence[Entry],
    baselines: Mapping[str, str],
    measured: Measured,
) -> Report:
    """A report without a goal; see `build_rows` for `entries` and `baselines`."""
    by_pair = {(found.artifact, found.target): found for found in measured.measurements}
    return Report(
        recipe=name,
        seed=0,
        compress_version=__version__,
        created=measured.created,
        host=measured.host,
        task={
            "type": task.spec.type,
            "metric": task.spec.metric,
            "labels": list(task.labels),
            "train_rows": len(task.train),
            "validation_rows": len(task.validation),
            "test_rows": len(task.test),
            "overlap": task.overlap,
            "max_length": task.spec.max_length,
        },
        targets={key: target.model_dump() for key, target in targets.items()},
        baseline=baseline,
        goal=judge(None, [], ""),
        notes=list(task.notes),
        rows=build_rows(entries, by_pair, baselines, task.spec.metric),
    )


def _artifact(value: "str | Artifact", artifacts: Mapping[str, Artifact]) -> Artifact:
    return value if isinstance(value, Artifact) else artifacts[value]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
