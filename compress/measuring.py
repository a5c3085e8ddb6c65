"""Measurements of a plan's artifacts, or of any model folders, and the report that is made of them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress import __version__
from compress.bench.host import host_facts, same_machine
from compress.bench.measure import Bench, measure
from compress.context import Progress
from compress.data.sources import Sources
from compress.errors import InputError
from compress.files import fingerprint, write_text
from compress.measurement import Conditions, Measured, Measurement
from compress.models.architectures import positions_of
from compress.models.config_file import labels_of, read_config
from compress.models.folder import check_folder
from compress.models.tokenizer import load_tokenizer
from compress.models.vocabulary import split_differently
from compress.outside import format_of
from compress.plan import Plan
from compress.recipe import BenchSpec, Goal, Target, TaskSpec
from compress.report.files import read_report
from compress.report.goal import judge
from compress.report.model import AblationEntry, Entry, HeldOut, Made, Report, Row
from compress.store import Artifact
from compress.tasks import Task, load_task
from compress.validation import Origin

BENCH_VERSION = 2
"""Raised when measuring changes, so that old measurements are not taken for new ones."""
MARGIN_PP = 1.0
"""Largest drop that is called no worse, where no goal says another."""
REPORT_VERSION = 2
"""Raised when the report's figures change, so that an old report is not taken for a new one."""


def measure_plan(
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    folder: Path,
    host: Mapping[str, Any],
    progress: Progress,
    beside: Sequence[Artifact] = (),
) -> Measured:
    """Measure all that the plan's report needs; what `folder` keeps is used if nothing that it depends on changed.

    An artifact that was made again counts as the same only if its files are: a step that times things may differ.

    Args:
        artifacts: by the name of the planned step.
        folder: of the run; keeps `measurements.json`.
        beside: artifacts of other plans, measured in the same rounds.
    """
    own = [
        _artifact(value, artifacts)
        for value in (*plan.baselines.values(), *(subject.measured for subject in plan.subjects))
    ]
    wanted = {artifact.key: artifact for artifact in (*own, *beside)}
    key = fingerprint(
        {
            "version": BENCH_VERSION,
            "artifacts": {name: one.manifest.files if one.manifest else {} for name, one in wanted.items()},
            "targets": {name: target.model_dump() for name, target in plan.recipe.targets.items()},
            "bench": plan.recipe.bench.model_dump(),
            "test": plan.task.test_key,
        }
    )
    path = folder / "measurements.json"
    kept = _kept(path, key, host)
    if kept is not None:
        return kept
    recipe = plan.recipe
    bench = Bench(plan.task, recipe.bench, recipe.seed, recipe.trust_remote_code, progress)
    taken, conditions = measure(list(wanted.values()), recipe.targets, bench)
    measured = Measured(taken, conditions, _now(), host, key)
    if all(found.status != "failed" for found in taken):
        content = asdict(measured) | {
            "measurements": [found.model_dump() for found in taken],
            "conditions": {name: found.model_dump() for name, found in conditions.items()},
        }
        content = json.loads(json.dumps(content))
        write_text(path, json.dumps(content | {"digest": fingerprint(content)}))
    return measured


def _kept(path: Path, key: str, host: Mapping[str, Any]) -> Measured | None:
    """The measurements in `path` if they are those of `key`, taken on this machine."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key or not same_machine(content["host"], host):
            return None
        if content.pop("digest") != fingerprint(content):
            return None  # a figure is not as it was written
        return Measured(
            measurements=[Measurement.model_validate(item) for item in content["measurements"]],
            conditions={name: Conditions.model_validate(item) for name, item in content["conditions"].items()},
            created=content["created"],
            host=content["host"],
            key=key,
            is_new=False,
        )
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # there is none, or none that can be read: it is measured anew


def report_plan(
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    measured: Measured,
    folder: Path,
    recipe_text: str,
    ablations: Sequence[AblationEntry] = (),
) -> tuple[Report, bool]:
    """The report of a plan that has run, and False if it is the one that `folder` holds."""
    recipe = plan.recipe
    entries = []
    for subject in plan.subjects:
        stands_for = _artifact(subject.measured, artifacts)
        made = artifacts.get(subject.step)
        entries.append(
            Entry(
                step=subject.step,
                stage=subject.stage,
                target=subject.target,
                artifact=stands_for.key,
                measured_as=stands_for.format,
                seconds=made.manifest.seconds if made and made.manifest else None,
                cpu_seconds=made.manifest.cpu_seconds if made and made.manifest else None,
                made_in_bytes=made.manifest.peak_memory_bytes if made and made.manifest else None,
                parent=plan.parent(subject.step),
            )
        )
    key = fingerprint(
        {
            "version": REPORT_VERSION,
            "measured": measured.key,
            "created": measured.created,
            "entries": [asdict(entry) for entry in entries],
            "ablations": [asdict(entry) for entry in ablations],
            "recipe": recipe_text,
        }
    )
    kept = read_report(folder / "report.json", key=key) if not measured.is_new else None
    if kept is not None:
        return kept, False
    baselines = {name: _artifact(value, artifacts).key for name, value in plan.baselines.items()}
    goal, last_step = recipe.goal, recipe.steps[-1].name
    report = _report(recipe.name, plan.task, recipe.targets, plan.baseline, entries, baselines, measured, goal)
    last = _last_measured(report.rows, last_step)
    if ablations:
        from compress.report.build import build_ablations

        margin = _margin_pp(goal)
        report.ablations = build_ablations(ablations, measured, report.rows, last_step, report.test, margin)
    command = "compress run recipe.yaml --ablate" if ablations else "compress run recipe.yaml"
    update = {
        "key": key,
        "seed": recipe.seed,
        "command": command,
        "recipe_text": recipe_text,
        "lineage": _lineage(plan, artifacts),
        "goal": judge(goal, last, last.versus_baseline if last else None),
        "notes": [*report.notes, *_trimmed(plan, artifacts)],
    }
    return report.model_copy(update=update), True


def _trimmed(plan: Plan, artifacts: Mapping[str, Artifact]) -> list[str]:
    """One sentence for each step that took tokens out of the vocabulary: what that does to the test rows."""
    texts, pairs = plan.task.texts(plan.task.test)
    notes = []
    for step in plan.steps:
        found = artifacts[step.name]
        if "tokens_after" not in found.facts:
            continue
        before = _artifact(step.inputs[next(iter(step.inputs))], artifacts)
        share = split_differently(
            load_tokenizer(before.path).fast, load_tokenizer(found.path).fast, [*texts, *(pairs or ())]
        )
        notes.append(
            f"{step.name} keeps {found.facts['tokens_after']:,} of {found.facts['tokens_before']:,} tokens; "
            f"{share:.2%} of the test rows' tokens split differently"
        )
    return notes


def _last_measured(rows: Sequence[Row], step: str) -> Row | None:
    """A step's row on the first target that it was measured on, or else its first row."""
    own = [row for row in rows if row.step == step]
    return next((row for row in own if row.status == "measured"), own[0] if own else None)


def _lineage(plan: Plan, artifacts: Mapping[str, Artifact]) -> list[Made]:
    made = []
    for step in plan.steps:
        artifact = artifacts[step.name]
        inputs = {
            role: value if isinstance(value, str) else f"{value.path.name} {value.key[:16]}"
            for role, value in step.inputs.items()
        }
        made.append(
            Made(
                step=step.name,
                stage=step.stage_name,
                key=artifact.key,
                inputs=inputs,
                config=step.config.model_dump(mode="json"),
                created=artifact.manifest.created if artifact.manifest else None,
            )
        )
    return made


def bench_folders(
    folders: Sequence[Path],
    spec: TaskSpec,
    targets: Mapping[str, Target],
    bench: BenchSpec,
    seed: int,
    progress: Progress,
    command: str,
    goal: Goal | None = None,
    *,
    every_pair: bool = True,
) -> Report:
    """Measure any model folders; the first is the baseline.

    Args:
        every_pair: False leaves out of the report what a target does not read, if another one does.
        command: that asked for it.
        goal: its largest drop is the margin up to which a model is no worse.

    Raises:
        InputError: a folder is no model, or one whose files cannot be trusted, or no model has the data's labels.
    """
    origin = Origin()
    sources = Sources()
    found = [sources.model(str(folder), origin.path) for folder in folders]
    for item in found:
        check_folder(item.path)
    artifacts = [  # a folder that is given twice is measured twice
        Artifact(item.path, fingerprint([item.key, number]), format_of(item.path)) for number, item in enumerate(found)
    ]
    task, refused = _task_for(artifacts, spec, sources, seed, origin)
    for artifact in artifacts:
        if (reason := _too_long(artifact, spec, targets)) is not None:
            refused.setdefault(artifact.key, reason)
    runnable = [artifact for artifact in artifacts if artifact.key not in refused]
    taken, conditions = measure(runnable, targets, Bench(task, bench, seed, False, progress))
    failed = [
        Measurement(artifact=key, target=target, status="failed", reason=reason, size_bytes=0)
        for key, reason in refused.items()
        for target in targets
    ]
    names = _names(folders)
    entries = []
    for target, settings in targets.items():
        for name, artifact in zip(names, artifacts, strict=True):
            is_onnx = artifact.format == "onnx"
            nobody_reads_it = all(other.reads_onnx != is_onnx for other in targets.values())
            if every_pair or settings.reads_onnx == is_onnx or nobody_reads_it:
                entries.append(Entry(name, "source", target, artifact.key, artifact.format))
    measured = Measured([*taken, *failed], conditions, _now(), host_facts())
    baselines = dict.fromkeys(targets, artifacts[0].key)
    report = _report("bench", task, targets, names[0], entries, baselines, measured, goal)
    return report.model_copy(
        update={"seed": seed, "command": command, "notes": [*report.notes, *_other_runtimes(report)]}
    )


def _other_runtimes(report: Report) -> list[str]:
    """What a reader must know where a baseline did not run on the same target."""
    foreign = [
        row.step for row in report.rows if row.versus_baseline and row.versus_baseline.against not in report.steps
    ]
    if not foreign:
        return []
    names = ", ".join(dict.fromkeys(foreign))
    return [f"{names}: held against a baseline on another runtime, which is part of what is won"]


def formats_of(folders: Sequence[Path]) -> list[str]:
    """The format of each model folder.

    Raises:
        InputError: a folder is no model.
    """
    sources = Sources()
    paths = [sources.model(str(folder), Origin().path).path for folder in folders]
    for path in paths:
        check_folder(path)
    return [format_of(path) for path in paths]


def _too_long(artifact: Artifact, spec: TaskSpec, targets: Mapping[str, Target]) -> str | None:
    """Why a model cannot take the texts that it is to be measured on."""
    positions = positions_of(read_config(artifact.path))
    longest = max(spec.max_length, *(target.sequence_length for target in targets.values()))
    if positions is None or longest <= positions:
        return None
    return f"it has positions for {positions} tokens, {longest} are asked for (--sequence-length, --max-length)"


def _task_for(
    artifacts: Sequence[Artifact], spec: TaskSpec, sources: Sources, seed: int, origin: Origin
) -> tuple[Task, dict[str, str]]:
    """The test rows, numbered by the first model that knows their labels; and why other models do not fit."""
    labels = {artifact.key: labels_of(artifact.path) for artifact in artifacts}
    task: Task | None = None
    first_error: InputError | None = None
    for artifact in artifacts:
        try:
            task = load_task(spec, sources.table, seed, origin, labels=labels[artifact.key])
            task.check_labels(dict(enumerate(labels[artifact.key])), artifact.path.name, str(artifact.path))
            break
        except InputError as error:
            first_error, task = first_error or error, None
    if task is None:
        assert first_error is not None
        raise first_error
    refused: dict[str, str] = {}
    for artifact in artifacts:
        try:
            task.check_labels(dict(enumerate(labels[artifact.key])), artifact.path.name, str(artifact.path))
        except InputError as error:
            refused[artifact.key] = error.what
    return task, refused


def _names(folders: Sequence[Path]) -> list[str]:
    """What the report calls each folder: as much of its path as tells it from the others."""
    paths = [folder.absolute() for folder in folders]
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(set(paths)):
        depth += 1
    names = ["/".join(path.parts[-depth:]) for path in paths]
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[index] = f"{name} #{seen[name]}"
    return names


def _report(
    name: str,
    task: Task,
    targets: Mapping[str, Target],
    baseline: str,
    entries: Sequence[Entry],
    baselines: Mapping[str, str],
    measured: Measured,
    goal: Goal | None,
) -> Report:
    """A report without a verdict; see `build_rows` for `entries` and `baselines`."""
    from compress.report.build import build_rows  # statistics take a second to import

    test = HeldOut(metric=task.spec.metric, labels=list(task.labels), truth=task.truth(task.test), key=task.test_key)
    texts, pairs = task.texts(task.test)
    shown = texts if pairs is None else [f"{text} / {pair}" for text, pair in zip(texts, pairs, strict=True)]
    return Report(
        recipe=name,
        seed=0,
        compress_version=__version__,
        created=measured.created,
        command="",
        host=dict(measured.host),
        conditions=dict(measured.conditions),
        task={
            "type": task.spec.type,
            "train_rows": len(task.train),
            "validation_rows": len(task.validation),
            "test_rows": len(task.test),
            "unlabelled_rows": len(task.unlabelled),
            "overlap": task.overlap,
            "max_length": task.spec.max_length,
        },
        test=test,
        targets={key: target.model_dump() for key, target in targets.items()},
        baseline=baseline,
        goal=judge(None, None, None),
        notes=list(task.notes),
        rows=build_rows(entries, measured, baselines, test, shown, _margin_pp(goal), targets),
    )


def _margin_pp(goal: Goal | None) -> float:
    return MARGIN_PP if goal is None or goal.max_drop_pp is None else goal.max_drop_pp


def _artifact(value: "str | Artifact", artifacts: Mapping[str, Artifact]) -> Artifact:
    return value if isinstance(value, Artifact) else artifacts[value]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
