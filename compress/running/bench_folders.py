"""The measuring of any model folders side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from compress.benching.measure import Bench, measure
from compress.context import Progress
from compress.data.sources import Sources
from compress.errors import InputError
from compress.files.whole import fingerprint
from compress.formats import check_folder, find, format_of, runs
from compress.machine.facts import host_facts
from compress.measurement import Measured, Measurement
from compress.models.architectures import positions_of
from compress.models.config_file import check_single_label, labels_of, read_config
from compress.planning.outside import check_outside, check_vocabulary
from compress.recipe.schema import BenchSpec, Goal, Target, TaskSpec
from compress.recipe.validation import Origin
from compress.report.entries import Entry
from compress.report.model import Report
from compress.running.report import build_report
from compress.store.artifacts import Artifact
from compress.tasks import Task, load_task
from compress.trials.tokenizer_trial import check_tokenizer
from compress.trials.trial import task_texts, try_tokenizer


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
        every_pair: False leaves out of the report the folders that a target cannot run, if another target can.
        command: the command that asked for it.
        goal: its largest drop is the margin up to which a model is no worse.

    Raises:
        InputError: a folder is no model, or one whose files cannot be trusted, or no model has the data's labels.
    """
    origin = Origin()
    sources = Sources()
    models = [sources.model(str(folder), origin.path) for folder in folders]
    for item in models:
        check_folder(item.path)
    artifacts = [  # a folder that is given twice is measured twice
        Artifact(item.path, fingerprint([item.key, number]), format_of(item.path)) for number, item in enumerate(models)
    ]
    task, refused = _task_for(artifacts, spec, sources, seed, origin)
    for artifact in artifacts:
        if (reason := _too_long(artifact, spec, targets)) is not None:
            refused.setdefault(artifact.key, reason)
    refused = {**_unfit_tokenizers(artifacts, task), **refused}
    measurable = [artifact for artifact in artifacts if any(runs(artifact.format, to) for to in targets.values())]
    remarks = _compare_with_plain([artifact for artifact in measurable if artifact.key not in refused], task, refused)
    runnable = [artifact for artifact in artifacts if artifact.key not in refused]
    measurements, conditions = measure(runnable, targets, Bench(task, bench, seed, False, progress))
    failed = [
        Measurement(artifact=key, target=target, status="failed", reason=reason, size_bytes=0)
        for key, reason in refused.items()
        for target in targets
    ]
    names = _names(folders)
    entries = _entries(names, artifacts, targets, every_pair=every_pair)
    measured = Measured(
        [*measurements, *failed], conditions, datetime.now(UTC).isoformat(timespec="seconds"), host_facts()
    )
    baselines = dict.fromkeys(targets, artifacts[0].key)
    report = build_report("bench", task, targets, names[0], entries, baselines, measured, goal)
    return report.model_copy(
        update={"seed": seed, "command": command, "notes": [*report.notes, *remarks, *_other_runtimes(report)]}
    )


def _entries(
    names: Sequence[str], artifacts: Sequence[Artifact], targets: Mapping[str, Target], *, every_pair: bool
) -> list[Entry]:
    """The report's rows: each artifact on each target, or only on the targets that can run it, if there are any."""
    entries = []
    for target, settings in targets.items():
        for name, artifact in zip(names, artifacts, strict=True):
            nobody_runs_it = not any(runs(artifact.format, other) for other in targets.values())
            if every_pair or runs(artifact.format, settings) or nobody_runs_it:
                entries.append(Entry(name, "source", target, artifact.key, artifact.format))
    return entries


def _compare_with_plain(artifacts: Sequence[Artifact], task: Task, refused: dict[str, str]) -> list[str]:
    """Add to `refused` the torch models that plain transformers loads differently; returns remarks on the others."""
    remarks = []
    for artifact in artifacts:
        try:
            remark = check_outside(artifact, task, makes_head=False, trust_remote_code=False)
        except InputError as error:
            refused[artifact.key] = error.what
        else:
            remarks += [f"{artifact.path.name}: {remark}"] if remark else []
    return remarks


def _other_runtimes(report: Report) -> list[str]:
    """A note for the reader where the baseline of a row did not run on the same target."""
    foreign = [
        row.step for row in report.rows if row.versus_baseline and row.versus_baseline.against not in report.steps
    ]
    if not foreign:
        return []
    names = ", ".join(dict.fromkeys(foreign))
    return [f"{names}: held against a baseline on another runtime, which is part of what is won"]


def default_runtimes(folders: Sequence[Path]) -> list[str]:
    """The default runtimes of model folders, where nobody names one.

    Raises:
        InputError: a folder is no model.
    """
    sources = Sources()
    paths = [sources.model(str(folder), Origin().path).path for folder in folders]
    for path in paths:
        check_folder(path)
    return [*dict.fromkeys(find(name).runtime for name in sorted(map(format_of, paths)))]


def _too_long(artifact: Artifact, spec: TaskSpec, targets: Mapping[str, Target]) -> str | None:
    """Why the texts to measure on are too long for a model, or None."""
    positions = positions_of(read_config(artifact.path))
    longest = max(spec.max_length, *(target.sequence_length for target in targets.values()))
    if positions is None or longest <= positions:
        return None
    return f"it has positions for {positions} tokens, {longest} are asked for (--sequence-length, --max-length)"


def _unfit_tokenizers(artifacts: Sequence[Artifact], task: Task) -> dict[str, str]:
    """The models whose tokenizers cannot be used on the rows, by key, each with the reason.

    Raises:
        InputError: none can.
    """
    errors: dict[str, InputError] = {}
    for artifact in artifacts:
        try:
            try_tokenizer(artifact.path, lambda: task_texts(task))
            check_vocabulary(artifact.path)
            check_tokenizer(artifact.path, pairs="text_pair" in task.spec.columns)
        except InputError as error:
            errors[artifact.key] = error
    if len(errors) == len(artifacts):
        raise next(iter(errors.values()))
    return {key: error.what for key, error in errors.items()}


def _task_for(
    artifacts: Sequence[Artifact], spec: TaskSpec, sources: Sources, seed: int, origin: Origin
) -> tuple[Task, dict[str, str]]:
    """The task, with labels numbered as in the first model that has them; and why other models do not fit."""
    labels = {artifact.key: labels_of(artifact.path) for artifact in artifacts}
    task: Task | None = None
    first_error: InputError | None = None
    for artifact in artifacts:
        try:
            check_single_label(artifact.path)
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
            check_single_label(artifact.path)
            task.check_labels(dict(enumerate(labels[artifact.key])), artifact.path.name, str(artifact.path))
        except InputError as error:
            refused[artifact.key] = error.what
    return task, refused


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' names in the report: the end of each path, as long as it takes to tell them apart."""
    paths = [folder.absolute() for folder in folders]
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(set(paths)):
        depth += 1
    names = ["/".join(path.parts[-depth:]) for path in paths]
    counts: Counter[str] = Counter()
    for index, name in enumerate(names):
        counts[name] += 1
        if counts[name] > 1:
            names[index] = f"{name} #{counts[name]}"
    return names
