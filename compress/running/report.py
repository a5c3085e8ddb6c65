"""The report of a plan that has run, or of models that were measured side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from compress import __version__
from compress.answers import name_of
from compress.facts import Quantization, Transfer, Trimming
from compress.files.whole import fingerprint
from compress.measurement import Measured
from compress.models.parameters import token_parameters
from compress.models.tokenizer import load_tokenizer
from compress.models.vocabulary import split_differently
from compress.planning.plan import Plan, artifact_of
from compress.recipe.schema import Goal, Target
from compress.report.entries import AblationEntry, BaselineEntry, Entry
from compress.report.files import read_report
from compress.report.goal import judge, margin_pp
from compress.report.model import HeldOut, LineageStep, Report, Row
from compress.report.quantized import Quantized, quantized
from compress.store.artifacts import Artifact
from compress.tasks import Task

REPORT_VERSION = 5
"""The version of reports, raised when their figures change, so that an old report is not used again."""


def report_plan(
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    measured: Measured,
    folder: Path,
    recipe_text: str,
    ablations: Sequence[AblationEntry] = (),
    simple_baselines: Sequence[BaselineEntry] = (),
) -> tuple[Report, bool]:
    """The report of a plan that has run, and whether it is new; if not, `folder` holds it already."""
    recipe = plan.recipe
    entries = _entries(plan, artifacts)
    rounded = quantized_steps(plan, artifacts)
    key = fingerprint(
        {
            "version": REPORT_VERSION,
            "measured": measured.key,
            "created": measured.created,
            "entries": [asdict(entry) for entry in entries],
            "ablations": [asdict(entry) for entry in ablations],
            "rounded": [item.model_dump() for item in rounded],
            "recipe": recipe_text,
            **({"baselines": [asdict(entry) for entry in simple_baselines]} if simple_baselines else {}),
        }
    )
    earlier_report = read_report(folder / "report.json", key=key) if not measured.is_new else None
    if earlier_report is not None:
        return earlier_report, False
    baselines = {name: artifact_of(value, artifacts).key for name, value in plan.baselines.items()}
    goal, last_step = recipe.goal, recipe.steps[-1].name
    report = build_report(recipe.name, plan.task, recipe.targets, plan.baseline, entries, baselines, measured, goal)
    last = _last_measured(report.rows, last_step)
    margin = margin_pp(None if goal is None else goal.max_drop_pp)
    if simple_baselines:
        from compress.report.build_baselines import build_baselines

        report.baselines = build_baselines(simple_baselines, report, last, margin)
    if ablations:
        from compress.report.build import build_ablations

        report.ablations = build_ablations(ablations, measured, report.rows, last_step, report.test, margin)
    command = "compress run recipe.yaml --ablate" if ablations else "compress run recipe.yaml"
    update = {
        "key": key,
        "seed": recipe.seed,
        "command": command,
        "recipe_text": recipe_text,
        "lineage": _lineage(plan, artifacts),
        "rounded": rounded,
        "goal": judge(goal, last, last.versus_baseline if last else None),
        "notes": [
            *report.notes,
            *plan.remarks,
            *_sessions(report.rows),
            *_trimmed(plan, artifacts),
            *_variants_in_test(plan, artifacts),
        ],
    }
    return report.model_copy(update=update), True


def _entries(plan: Plan, artifacts: Mapping[str, Artifact]) -> list[Entry]:
    """The entries of which the report's rows are built."""
    entries = []
    for subject in plan.subjects:
        stands_for = artifact_of(subject.measured, artifacts)
        artifact = artifacts.get(subject.step)
        entries.append(
            Entry(
                step=subject.step,
                stage=subject.stage,
                target=subject.target,
                artifact=stands_for.key,
                measured_as=stands_for.format,
                seconds=artifact.manifest.seconds if artifact and artifact.manifest else None,
                cpu_seconds=artifact.manifest.cpu_seconds if artifact and artifact.manifest else None,
                made_in_bytes=artifact.manifest.peak_memory_bytes if artifact and artifact.manifest else None,
                parent=plan.parent(subject.step),
                token_parameters=token_parameters(stands_for.path),
            )
        )
    return entries


def quantized_steps(plan: Plan, artifacts: Mapping[str, Artifact]) -> list[Quantized]:
    """The facts of the quantizing steps, from their manifests."""
    facts_of_steps = ((step, step.facts(Quantization, artifacts)) for step in plan.steps)
    return [quantized(step.name, step.stage_name, facts) for step, facts in facts_of_steps if facts is not None]


def _trimmed(plan: Plan, artifacts: Mapping[str, Artifact]) -> list[str]:
    """One note for each step that took tokens out of the vocabulary, on how that changes the test rows."""
    texts, pairs = plan.task.texts(plan.task.test)
    notes = []
    for step in plan.steps:
        facts = step.facts(Trimming, artifacts)
        if facts is None:
            continue
        before, after = (load_tokenizer(artifact_of(one, artifacts).path) for one in (step.model, step.name))
        share = split_differently(before.fast, after.fast, [*texts, *(pairs or ())])
        notes.append(
            f"{step.name} keeps {facts.tokens_after:,} of {facts.tokens_before:,} tokens; "
            f"{share:.2%} of the test rows' tokens split differently"
        )
    return notes


def _variants_in_test(plan: Plan, artifacts: Mapping[str, Artifact]) -> list[str]:
    """One note for each step whose variants of rows are, or may be, test rows too."""
    facts_of_steps = ((step.name, Transfer.read(artifacts[step.name].facts)) for step in plan.steps)
    notes = (variants_note(name, facts, plan.task.test_key) for name, facts in facts_of_steps if facts is not None)
    return [note for note in notes if note is not None]


def variants_note(step: str, facts: Transfer, test_key: str) -> str | None:
    """A note on variants of rows that equal test rows; None if it is known that the step has learned none.

    Args:
        test_key: fingerprint of the test rows that the report is about.
    """
    if facts.variants_test_key != test_key:
        return (
            f"{step} was made when there were other test rows: it is not known whether one of its "
            f"{facts.variants:,} variants of rows equals one of these"
        )
    if facts.variants_in_test:
        every = facts.variants + facts.variants_in_test
        return f"{facts.variants_in_test:,} of {every:,} variants of rows equal test rows ({step} did not learn them)"
    return None


def _sessions(rows: Sequence[Row]) -> list[str]:
    """A note on the rows whose latencies may be compared, where not all were timed in one session."""
    steps: dict[int, list[str]] = {}
    for row in rows:
        steps_of_session = steps.setdefault(row.session, []) if row.status == "measured" else []
        steps_of_session += [row.step] if row.step not in steps_of_session else []
    if len(steps) < 2:
        return []
    sessions = "; ".join(f"{', '.join(names)} in session {number}" for number, names in sorted(steps.items()))
    return [
        f"latencies are of {len(steps)} sessions of measuring ({sessions}): hold only those of one session "
        "against each other; each speed-up is of a session that timed both sides"
    ]


def _last_measured(rows: Sequence[Row], step: str) -> Row | None:
    """A step's row on the first target that it was measured on, or else its first row."""
    rows_of_step = [row for row in rows if row.step == step]
    return next((row for row in rows_of_step if row.status == "measured"), rows_of_step[0] if rows_of_step else None)


def _lineage(plan: Plan, artifacts: Mapping[str, Artifact]) -> list[LineageStep]:
    entries = []
    for step in plan.steps:
        artifact = artifacts[step.name]
        inputs = {
            role: value if isinstance(value, str) else f"{value.path.name} {value.key[:16]}"
            for role, value in step.inputs.items()
        }
        entries.append(
            LineageStep(
                step=step.name,
                stage=step.stage_name,
                key=artifact.key,
                inputs=inputs,
                config=step.config.model_dump(mode="json"),
                created=artifact.manifest.created if artifact.manifest else None,
            )
        )
    return entries


def build_report(
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

    truth = task.truth(task.test)
    test = HeldOut(
        answers=name_of(truth),
        metric=task.spec.metric,
        labels=list(truth.labels),
        truth=truth.content,
        key=task.test_key,
    )
    texts, pairs = task.texts(task.test)
    shown_texts = texts if pairs is None else [f"{text} / {pair}" for text, pair in zip(texts, pairs, strict=True)]
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
            **({} if pairs is None else {"pairs": True}),
        },
        test=test,
        targets={key: target.model_dump() for key, target in targets.items()},
        baseline=baseline,
        goal=judge(None, None, None),
        notes=list(task.notes),
        rows=build_rows(
            entries,
            measured,
            baselines,
            test,
            shown_texts,
            margin_pp(None if goal is None else goal.max_drop_pp),
            targets,
        ),
    )
