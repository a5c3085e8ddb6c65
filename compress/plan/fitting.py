"""What must fit together in a recipe before any work: formats, lengths, labels, rows and targets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress import stages
from compress.errors import InputError, did_you_mean
from compress.formats import find
from compress.models.architectures import positions_of
from compress.models.config_file import check_single_label, labels_of, read_config
from compress.recipe.schema import Recipe, Target
from compress.recipe.validation import Origin
from compress.stages import Input
from compress.store.artifacts import Artifact
from compress.tasks import Task

LEAST_POSITIONS = 4
"""Of the shortest text: the least `max_length` of a task."""


def check_targets(recipe: Recipe, task: Task, origin: Origin) -> None:
    """Refuse targets without test rows, a goal without targets, and a baseline that is no step."""
    if recipe.goal is not None and not recipe.targets:
        raise InputError(
            "there is a goal, but no target to measure it on",
            where=origin.where("goal"),
            fix="add targets: {cpu: {runtime: onnxruntime}}",
        )
    if recipe.targets and not task.test:
        raise InputError(
            "there are targets, but no test rows to measure on",
            where=origin.where("task", "test"),
            fix="add task.test (--test), or task.test_fraction: 0.2 (--test-fraction), or --set task.test_fraction=0.2",
        )
    if recipe.baseline is not None and recipe.baseline not in {step.name for step in recipe.steps}:
        raise InputError(
            f"the baseline '{recipe.baseline}' is not a step",
            where=origin.where("baseline"),
            fix=did_you_mean(recipe.baseline, [step.name for step in recipe.steps]),
        )


def check_input(
    step: str,
    wanted: Input,
    value: "str | Artifact",
    has: str,
    task: Task,
    targets: Mapping[str, Target],
    where: str,
) -> None:
    """Refuse an input of another format, and a model from outside that does not go with the data.

    Args:
        step: that reads it.
        value: an earlier step, or a model from outside.
        has: its format.
    """
    if has != wanted.format:
        giver = value.path.name if isinstance(value, Artifact) else value
        raise InputError(
            f"step '{step}' reads format '{wanted.format}', but '{giver}' gives '{has}'",
            where=where,
            fix=_format_fix(wanted.format, has, step, giver, is_step=not isinstance(value, Artifact)),
        )
    if isinstance(value, Artifact):
        _check_length(value, task, targets, where)
        if wanted.head != "task":
            return
        check_single_label(value.path)
        if task.labels:
            task.check_labels(dict(enumerate(labels_of(value.path))), str(value.path.name), where)


def several(value: Any, role: str, where: str) -> list[Any]:
    """What a role that takes several names."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values or any(other == one for at, one in enumerate(values) for other in values[:at]):
        raise InputError(f"'{role}' is {value!r}", where=where, fix="name one step or model, or several once each")
    return values


def check_timed(target: Target, model: Path) -> None:
    """Refuse to time texts that are longer than the model has positions for.

    Args:
        model: the folder from outside that it comes from.
    """
    positions = positions_of(read_config(model))
    if positions is not None and target.sequence_length > positions:
        raise InputError(
            f"target.sequence_length is {target.sequence_length}, but the model has positions for {positions} tokens",
            fix=f"set target.sequence_length to at most {positions}",
        )


def _check_length(model: Artifact, task: Task, targets: Mapping[str, Target], where: str) -> None:
    """Refuse texts that are longer than the model has positions for."""
    positions = positions_of(read_config(model.path))
    if positions is not None and positions < LEAST_POSITIONS:
        raise InputError(
            f"'{model.path.name}' has positions for {positions} tokens; a text takes at least {LEAST_POSITIONS}",
            where=where,
            fix="take a model with more: max_position_embeddings in its config.json",
        )
    asked = {"task.max_length": task.spec.max_length}  # without data, built-in texts are read up to it
    asked |= {f"targets.{name}.sequence_length": spec.sequence_length for name, spec in targets.items()}
    for key, length in asked.items():
        if positions is not None and length > positions:
            raise InputError(
                f"{key} is {length}, but '{model.path.name}' has positions for {positions} tokens",
                where=where,
                fix=f"set {key} to at most {positions}",
            )


def _format_fix(wanted: str, has: str, reader: str, giver: str, *, is_step: bool) -> str:
    """What to do where a step reads the format `wanted`, and is given one of the format `has`."""
    if _exported_from(has) == wanted and not is_step:
        return f"give the {wanted} folder that '{giver}' was exported from"
    if _exported_from(has) == wanted:
        return f"move '{reader}' before the export that '{giver}' stands for"
    if _exported_from(wanted) == has:
        return f"put an {find(wanted).export} step between '{giver}' and '{reader}'"
    why = find(has).is_last or find(wanted).is_last
    return f"let '{reader}' read an earlier step{'; ' + why if why else ''}"


def _exported_from(form: str) -> str | None:
    """The format that a format's export reads."""
    export = find(form).export
    return None if export is None else stages.find(export).base.format
