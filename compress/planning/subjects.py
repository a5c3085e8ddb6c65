"""What a run measures: the rows of its report, their baselines, and the exports that measuring needs."""

from dataclasses import replace

from compress import formats, runtimes, stages
from compress.errors import InputError
from compress.planning.plan import SOURCE, PlannedStep, Subject
from compress.planning.steps import Steps
from compress.recipe.schema import Target
from compress.recipe.validation import Origin
from compress.store.artifacts import Artifact


def plan_measuring(steps: Steps, origin: Origin) -> "tuple[tuple[Subject, ...], dict[str, str | Artifact], str]":
    """Rows to measure, the baseline of each target, and its name.

    Args:
        steps: the recipe's planned steps; the exports that measuring needs are added.

    Raises:
        InputError: a model is to be measured in a format that it cannot be exported to.
    """
    recipe_steps = list(steps.planned)
    baseline, name = _baseline(steps)
    subjects: list[Subject] = []
    baselines: dict[str, str | Artifact] = {}
    for target_name, target in steps.recipe.targets.items():
        baselines[target_name] = _measured_as(baseline, target, steps, origin)
        if isinstance(baseline, Artifact):
            subjects.append(Subject(name, SOURCE, target_name, baselines[target_name]))
        for step in recipe_steps:
            measured = _measured_as(step.name, target, steps, origin)
            subjects.append(Subject(step.name, step.stage_name, target_name, measured))
    return tuple(subjects), baselines, name


def _baseline(steps: Steps) -> "tuple[str | Artifact, str]":
    """The model that all others are compared with: the named step, the first teacher, or the chain's input."""
    if steps.recipe.baseline is not None:
        return steps.recipe.baseline, steps.recipe.baseline
    teacher = next((step for step in steps.planned if step.stage.makes_teacher), None)
    return (steps.planned[0].base, "baseline") if teacher is None else (teacher.name, teacher.name)


def _measured_as(value: "str | Artifact", target: Target, steps: Steps, origin: Origin) -> "str | Artifact":
    """The model that is measured on a target: itself, or its export to a format that the target's runtime takes."""
    stage_name = _export(steps.format_of(value), target)
    if stage_name is None:
        return value
    export = _planned_export(value, stage_name, steps, origin)
    same = next((step for step in steps.planned if step.identity.key == export.identity.key), None)
    if same is None:
        steps.append(export)
    return (same or export).name


def _export(form: str, target: Target) -> str | None:
    """The stage that exports a format to one that the target takes; None where no export is needed or possible."""
    accepted = runtimes.find(target.runtime).FORMATS
    if form in accepted:
        return None
    exports = [export for name in accepted if (export := formats.find(name).export) is not None]
    return next((name for name in exports if stages.find(name).base.format == form), None)


def _planned_export(value: "str | Artifact", stage_name: str, steps: Steps, origin: Origin) -> PlannedStep:
    """A model's export, by the settings of the recipe's own export where it has one.

    Raises:
        InputError: it cannot be exported.
    """
    stage = stages.find(stage_name)
    config = next((step.config for step in steps.planned if step.stage_name == stage_name), stage.config())
    name = f"{value if isinstance(value, str) else 'input model'} as {stage.output}"  # spaces: no step's name
    try:
        planned = steps.plan(name, stage_name, config, {stage.base_role: value}, origin.path)
    except InputError as error:
        what = f"'{value}'" if isinstance(value, str) else "the model"
        raise InputError(
            f"{what} is to be measured as {formats.find(stage.output).title}: {error.what}",
            where=origin.where("targets"),
            fix=error.fix,
        ) from error
    return replace(planned, only_measured=True)
