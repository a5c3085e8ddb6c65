"""Runs a plan against the store: takes what is done, makes what is not, measures, reports."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml
from pydantic import ValidationError

from compress import __version__
from compress.bench.host import host_facts, same_machine
from compress.bench.measure import measure
from compress.context import Context
from compress.data.sources import Sources
from compress.errors import CompressError
from compress.files import disk_error, fingerprint, write_text
from compress.measurement import Measurement
from compress.models.architectures import labels_of
from compress.plan import Plan, PlannedStep, format_of
from compress.recipe import BenchSpec, Recipe, Target, TaskSpec
from compress.report.build import Entry, Report, build_rows, judge
from compress.report.markdown import render_markdown
from compress.store import Artifact, DamagedArtifactError, Identity, Store
from compress.tasks import Task, load_task
from compress.validation import Origin

BENCH_VERSION = 1
"""Raised when measuring changes, so that old measurements are not taken for new ones."""


class Observer(Protocol):
    """Told what a run does; the command line draws it."""

    def progress(self, what: str, done: int, total: int) -> None:
        """See `compress.context.Progress`."""

    def step_started(self, name: str, stage: str) -> None:
        """A step's work begins."""

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        """A step's artifact is there; `made` is False if it was taken from the store."""

    def warned(self, message: str) -> None:
        """Something a person should know; the run goes on."""


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    Attributes:
        folder: of the run, with the report and a link to each step's artifact.
        artifacts: by the name of the planned step.
        report: None where the recipe has no targets.
        did_nothing: all was done before.
    """

    folder: Path
    artifacts: Mapping[str, Artifact]
    report: Report | None
    did_nothing: bool

    @property
    def failures(self) -> list[str]:
        """One sentence for each measurement that failed."""
        rows = self.report.rows if self.report else []
        return [f"{row.step} on {row.target}: {row.reason}" for row in rows if row.status == "failed"]


def open_store(runs_dir: Path) -> Store:
    """The store that all runs below `runs_dir` share."""
    return Store(runs_dir / "store")


def is_done(step: PlannedStep, store: Store) -> bool:
    """True if the step's artifact is in the store and whole."""
    try:
        return store.get(step.identity) is not None
    except DamagedArtifactError:
        return False


def run_plan(plan: Plan, runs_dir: Path, observer: Observer) -> Result:
    """Run a plan to its end.

    Raises:
        CompressError: a step failed; the steps before it are kept.
    """
    store = open_store(runs_dir)
    folder = runs_dir / plan.recipe.name
    host = host_facts()
    artifacts: dict[str, Artifact] = {}
    made_any = False
    for step in plan.steps:
        artifacts[step.name], made = _obtain(step, plan, store, artifacts, host, observer)
        made_any |= made
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "recipe.yaml", dump_recipe(plan))
        _link_steps(folder, plan, artifacts)
        report, measured = None, False
        if plan.recipe.targets:
            measurements, measured, stamp = _measured(plan, folder, artifacts, host, observer)
            report = _report(plan, artifacts, measurements, stamp)
            write_text(folder / "report.json", report.model_dump_json(indent=1))
            write_text(folder / "report.md", render_markdown(report))
    except OSError as error:
        raise disk_error(error, folder) from error
    return Result(folder, artifacts, report, did_nothing=not (made_any or measured))


def dump_recipe(plan: Plan) -> str:
    """The recipe as it ran, overrides included, as YAML that runs again from any folder."""
    data = plan.recipe.model_dump(mode="json", exclude_defaults=True)

    def absolute(place: dict[str, Any], key: str) -> None:
        path = plan.origin.folder / str(place.get(key))
        if place.get(key) and "://" not in place[key] and path.exists():
            place[key] = str(path.resolve())

    for part in ("train", "validation", "test"):
        absolute(data["task"], part)
    for step, raw in zip(plan.recipe.steps, data["steps"], strict=True):
        for role, value in plan.step(step.name).inputs.items():
            if isinstance(value, Artifact):
                absolute(raw, role)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def _obtain(
    step: PlannedStep,
    plan: Plan,
    store: Store,
    artifacts: Mapping[str, Artifact],
    host: Mapping[str, Any],
    observer: Observer,
) -> tuple[Artifact, bool]:
    def make(out: Path, work: Path) -> Mapping[str, Any] | None:
        observer.step_started(step.name, step.stage_name)
        inputs: dict[str, Artifact | None] = dict.fromkeys(step.stage.inputs)
        for role, value in step.inputs.items():
            inputs[role] = value if isinstance(value, Artifact) else artifacts[value]
        context = _context(plan, store, work, host, observer)
        return step.stage.run(config=step.config, context=context, out=out, **inputs)

    try:
        artifact, made = store.obtain(step.identity, step.stage.output, make, host=host, on_damage=observer.warned)
    except CompressError as error:
        raise type(error)(
            f"step '{step.name}' failed: {error.what}", where=error.where or step.where, fix=error.fix
        ) from error
    except MemoryError as error:
        raise CompressError(
            f"step '{step.name}' ran out of memory", where=step.where, fix="lower batch_size or max_length"
        ) from error
    seconds = artifact.manifest.seconds if artifact.manifest else 0.0
    observer.step_done(step.name, step.stage_name, seconds, made)
    return artifact, made


def _context(plan: Plan, store: Store, work: Path, host: Mapping[str, Any], observer: Observer) -> Context:
    def cached(name: str, config: Mapping[str, Any], inputs: Mapping[str, str], make: Any) -> Artifact:
        identity = Identity(name, 1, config, inputs, plan.task.train_key, 0)
        artifact, _ = store.obtain(identity, "arrays", lambda out, _: make(out), host=host, on_damage=observer.warned)
        return artifact

    return Context(
        task=plan.task,
        seed=plan.recipe.seed,
        device=_device(plan.recipe),
        trust_remote_code=plan.recipe.trust_remote_code,
        work=work,
        progress=observer.progress,
        cached=cached,
    )


def _device(recipe: Recipe) -> Literal["cpu", "cuda"]:
    if recipe.device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if recipe.device == "cuda":
        raise CompressError("this machine has no CUDA device that torch can use", fix="set device: auto")
    return "cpu"


def _link_steps(folder: Path, plan: Plan, artifacts: Mapping[str, Artifact]) -> None:
    """`steps/NAME` of the run points to each artifact in the store."""
    links = folder / "steps"
    if links.exists():
        shutil.rmtree(links)
    links.mkdir()
    for step in plan.steps:
        if not step.only_measured:
            path = artifacts[step.name].path.resolve()
            (links / step.name).symlink_to(Path("..") / ".." / path.relative_to(folder.parent.resolve()))


def _artifact(value: "str | Artifact", artifacts: Mapping[str, Artifact]) -> Artifact:
    return value if isinstance(value, Artifact) else artifacts[value]


def _measured(
    plan: Plan,
    folder: Path,
    artifacts: Mapping[str, Artifact],
    host: dict[str, Any],
    observer: Observer,
) -> tuple[Sequence[Measurement], bool, dict[str, Any]]:
    """The measurements: those of the last run if nothing that they depend on has changed, otherwise new ones.

    Returns:
        (measurements, whether they are new, {created, host} of when they were taken).
    """
    wanted = {
        _artifact(value, artifacts).key: _artifact(value, artifacts)
        for value in [*plan.baselines.values(), *(subject.measured for subject in plan.subjects)]
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
    kept = _kept_measurements(path, key, host)
    if kept is not None:
        return kept[0], False, kept[1]
    observer.step_started("bench", "bench")
    start = datetime.now(UTC)
    taken = measure(
        list(wanted.values()),
        plan.recipe.targets,
        plan.task,
        plan.recipe.bench,
        seed=plan.recipe.seed,
        trust_remote_code=plan.recipe.trust_remote_code,
        progress=observer.progress,
    )
    stamp = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "host": host}
    if all(found.status != "failed" for found in taken):
        content = {"key": key, **stamp, "measurements": [found.model_dump() for found in taken]}
        write_text(path, json.dumps(content))
    observer.step_done("bench", "bench", (datetime.now(UTC) - start).total_seconds(), True)
    return taken, True, stamp


def _kept_measurements(path: Path, key: str, host: dict[str, Any]) -> tuple[list[Measurement], dict[str, Any]] | None:
    """The measurements in `path` if they are those of `key`, taken on this machine."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key or not same_machine(content["host"], host):
            return None
        found = [Measurement.model_validate(item) for item in content["measurements"]]
        return found, {"created": content["created"], "host": content["host"]}
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # there is none, or none that can be read: it is measured anew


def _report(
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    measurements: Sequence[Measurement],
    stamp: dict[str, Any],
) -> Report:
    entries = []
    for subject in plan.subjects:
        measured = _artifact(subject.measured, artifacts)
        made = artifacts.get(subject.step)
        entries.append(
            Entry(
                step=subject.step,
                stage=subject.stage,
                target=subject.target,
                artifact=measured.key,
                measured_as=measured.format,
                seconds=made.manifest.seconds if made and made.manifest else None,
            )
        )
    by_pair = {(found.artifact, found.target): found for found in measurements}
    baselines = {name: _artifact(value, artifacts).key for name, value in plan.baselines.items()}
    rows = build_rows(entries, by_pair, baselines, plan.task.spec.metric)
    return Report(
        recipe=plan.recipe.name,
        seed=plan.recipe.seed,
        compress_version=__version__,
        created=stamp["created"],
        host=stamp["host"],
        task=_task_facts(plan.task),
        targets={name: target.model_dump() for name, target in plan.recipe.targets.items()},
        baseline=plan.baseline,
        goal=judge(plan.recipe.goal, rows, plan.recipe.steps[-1].name),
        notes=list(plan.task.notes),
        rows=rows,
    )


def _task_facts(task: Task) -> dict[str, Any]:
    return {
        "type": task.spec.type,
        "metric": task.spec.metric,
        "labels": list(task.labels),
        "train_rows": len(task.train),
        "validation_rows": len(task.validation),
        "test_rows": len(task.test),
        "overlap": task.overlap,
        "max_length": task.spec.max_length,
    }


def bench_folders(
    folders: Sequence[Path], spec: TaskSpec, target: Target, bench: BenchSpec, seed: int, observer: Observer
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
    taken = measure(
        list(unique.values()),
        {"bench": target},
        task,
        bench,
        seed=seed,
        trust_remote_code=False,
        progress=observer.progress,
    )
    entries = [
        Entry(folder.name or str(folder), "source", "bench", artifact.key, artifact.format, None)
        for folder, artifact in zip(folders, artifacts, strict=True)
    ]
    return Report(
        recipe="bench",
        seed=seed,
        compress_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        host=host_facts(),
        task=_task_facts(task),
        targets={"bench": target.model_dump()},
        baseline=entries[0].step,
        goal={"met": None, "missed": []},
        notes=list(task.notes),
        rows=build_rows(
            entries,
            {(item.artifact, item.target): item for item in taken},
            {"bench": artifacts[0].key},
            spec.metric,
        ),
    )
