"""The final folder of a run: the last step's artifact, ready to ship, with its lineage and its model card.

The store's artifact stays as it is. Weights are shared with it where the file system can (a reflink, else a hard link:
they are read-only), small files are copies, and some of these say more than the artifact's own: see
`compress.lineage.adapted`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from compress import __version__, formats, runtimes, stages, tasks
from compress.errors import InputError
from compress.files.whole import CARD, FINAL, file_sha256, fingerprint, link_file, new_folder, write_text
from compress.lineage.adapted import adapt
from compress.lineage.card import base_models_in, hub_name, model_card
from compress.lineage.model import (
    Data,
    Figures,
    Lineage,
    MadeStep,
    Measurements,
    OnTarget,
    Source,
    made_step,
    read_lineage,
    write_lineage,
)
from compress.planning.plan import Plan
from compress.recipe.schema import TABLES, input_source
from compress.report.model import Report, Row
from compress.report.words import describe_target, verdict
from compress.store.artifacts import Artifact


def write_final(
    plan: Plan, artifacts: Mapping[str, Artifact], folder: Path, report: Report | None, recipe_text: str
) -> bool:
    """Write `final/` of a run, whole or not at all, unless it is up to date.

    Args:
        artifacts: artifacts by the names of their steps.
        folder: the run's folder.
        report: the run's report; None if nothing was measured.
        recipe_text: the recipe as it ran.

    Returns:
        Whether the folder was written.

    Raises:
        OSError: the folder cannot be written; an older one stays.
    """
    lineage = build_lineage(plan, artifacts, report, recipe_text)
    artifact, final = artifacts[lineage.final.name], folder / FINAL
    if _is_current(final, lineage, artifact):
        return False
    with new_folder(final, replace=True) as out:
        for name in lineage.final.files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            link_file(artifact.path / name, out / name, share=True)
        lineage = lineage.model_copy(update={"adapted": adapt(out, lineage)})
        write_lineage(lineage, out)
        write_text(out / CARD, model_card(lineage, out, _base_models(plan, lineage)))
    return True


def _is_current(final: Path, lineage: Lineage, artifact: Artifact) -> bool:
    """Whether a final folder has this lineage and the artifact's files; an edited card does not count."""
    if final.is_symlink():
        return False  # something else writes the target of the link
    try:
        present = read_lineage(final)
    except InputError:
        return False
    if present.key != lineage.key or not (final / CARD).is_file():
        return False
    for name, expected in present.files.items():
        file, own = final / name, artifact.path / name
        if not file.is_file():
            return False
        if not (own.is_file() and file.samefile(own)) and file_sha256(file) != expected:
            return False  # a file shared with the artifact needs no hash: the store checked it
    return True


def build_lineage(plan: Plan, artifacts: Mapping[str, Artifact], report: Report | None, recipe_text: str) -> Lineage:
    """The lineage of the recipe's last step."""
    last = plan.recipe.steps[-1].name
    needed = _ancestors(plan, last)
    settings_of = {step.name: step.settings for step in plan.recipe.steps}
    steps: list[MadeStep] = []
    for step in plan.steps:
        if step.name in needed:
            inputs = {
                role: value if isinstance(value, str) else input_source(settings_of[step.name], role)
                for role, value in step.inputs.items()
            }
            steps.append(made_step(step.name, artifacts[step.name], inputs))
    steps.sort(key=lambda step: step.name == last)  # the sort is stable, and puts the last step at the end
    task = plan.task
    unmeasured = None if report else "nothing was measured: the recipe has no targets"
    return Lineage(
        compress_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        name=plan.recipe.name,
        seed=plan.recipe.seed,
        steps=tuple(steps),
        sources=_sources(plan),
        data=Data(
            task=task.spec.type,
            hub_task=task.hub_task,
            metric=task.spec.metric,
            labels=task.labels,
            columns=task.spec.columns,
            max_length=task.spec.max_length,
            train_rows=len(task.train),
            validation_rows=len(task.validation),
            test_rows=len(task.test),
            unlabelled_rows=len(task.unlabelled),
            overlap=task.overlap,
            notes=task.notes,
            train_key=task.train_key,
            test_key=task.test_key,
        ),
        measured=measurements(report, last) if report else None,
        unmeasured=unmeasured,
        recipe=recipe_text,
        packages=_packages(plan),
    )


def _packages(plan: Plan) -> dict[str, str]:
    """The packages whose plug-ins the recipe needs, with their versions."""
    names_by_registry = (
        *((stages.REGISTRY, step.stage) for step in plan.recipe.steps),
        (tasks.REGISTRY, plan.recipe.task.type),
        *((runtimes.REGISTRY, target.runtime) for target in plan.recipe.targets.values()),
        *((formats.REGISTRY, step.stage.output) for step in plan.steps),
    )
    plugins = [plugin for registry, name in names_by_registry if (plugin := registry.plugin(name)) is not None]
    return {plugin.package: plugin.version for plugin in plugins}


def _ancestors(plan: Plan, last: str) -> set[str]:
    """Names of the steps that led to `last`, itself included."""
    ancestors: set[str] = set()
    waiting = [last]
    while waiting:
        name = waiting.pop()
        ancestors.add(name)
        waiting += [value for value in plan.step(name).inputs.values() if isinstance(value, str)]
    return ancestors


def _sources(plan: Plan) -> tuple[Source, ...]:
    """The sources from outside, with the places in the recipe that name them."""
    places: dict[tuple[str, str], list[str]] = {}
    for part in TABLES:
        if (source := getattr(plan.recipe.task, part)) is not None:
            places.setdefault(("table", source), []).append(f"task.{part}")
    for step in plan.recipe.steps:
        for role, value in plan.step(step.name).inputs.items():
            if isinstance(value, Artifact):
                places.setdefault(("model", input_source(step.settings, role)), []).append(f"{step.name}.{role}")
    return tuple(
        Source(
            kind="model" if used.kind == "model" else "table",
            said=used.source,
            pinned=used.pinned,
            key=used.key,
            files=dict(used.files),
            places=tuple(places[used.kind, used.source]),
        )
        for used in plan.sources
        if (used.kind, used.source) in places
    )


def _base_models(plan: Plan, lineage: Lineage) -> list[str]:
    """Names of the hub models that the artifact was made from: hub sources, and base models in others' cards."""
    keys = {fingerprint(source.key): source for source in lineage.sources if source.kind == "model"}
    names: dict[str, None] = {}
    for step in lineage.steps:
        for value in plan.step(step.name).inputs.values():
            if isinstance(value, Artifact) and value.key in keys:
                name = hub_name(keys[value.key].pinned)
                names |= dict.fromkeys([name] if name else base_models_in(value.path))
    return list(names)


def measurements(report: Report, last: str) -> Measurements:
    """The rows of the last step and of the baseline on each target."""
    targets = []
    for target, settings in report.targets.items():
        rows = report.on(target)
        final = next((row for row in rows if row.step == last), None)
        baseline = next((row for row in rows if row.is_baseline), None)
        if final is not None:
            targets.append(
                OnTarget(
                    target=target,
                    described=describe_target(report, target),
                    settings=settings,
                    conditions=report.conditions.get(target),
                    final=_figures(final),
                    baseline=_figures(baseline) if baseline else None,
                )
            )
    return Measurements(created=report.created, host=report.host, goal=verdict(report), targets=tuple(targets))


def _figures(row: Row) -> Figures:
    return Figures(
        step=row.step,
        status=row.status,
        reason=row.reason,
        artifact=row.artifact,
        measured_as=row.measured_as,
        size_bytes=row.size_bytes,
        score=row.quality,
        p50_ms=row.latency_ms.p50 if row.latency_ms else None,
        p90_ms=row.latency_ms.p90 if row.latency_ms else None,
        real_p50_ms=row.real_latency_ms.p50 if row.real_latency_ms else None,
        versus_baseline=row.versus_baseline,
    )
