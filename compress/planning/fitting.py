"""Checks that the parts of a recipe fit together: formats, lengths, labels, rows and targets."""

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
"""Positions that even the shortest text needs: the smallest `max_length` of a task."""


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
    requirement: Input,
    value: "str | Artifact",
    value_format: str,
    task: Task,
    targets: Mapping[str, Target],
    where: str,
) -> None:
    """Refuse an input of another format, and a model from outside that does not go with the data.

    Args:
        step: the name of the step that reads it.
        requirement: the input of that role, as the step's stage declares it.
        value: an earlier step, or a model from outside.
        value_format: the format of `value`.
    """
    if value_format != requirement.format:
        giver = value.path.name if isinstance(value, Artifact) else value
        raise InputError(
            f"step '{step}' reads format '{requirement.format}', but '{giver}' gives '{value_format}'",
            where=where,
            fix=_format_fix(requirement.format, value_format, step, giver, is_step=not isinstance(value, Artifact)),
        )
    if isinstance(value, Artifact):
        _check_length(value, task, targets, where)
        if requirement.head != "task":
            return
        check_single_label(value.path)
        if task.labels:
            task.check_labels(dict(enumerate(labels_of(value.path))), str(value.path.name), where)


def role_values(value: Any, role: str, where: str) -> list[Any]:
    """The steps or models that a recipe names for a role which takes several."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values or any(other == one for at, one in enumerate(values) for other in values[:at]):
        raise InputError(f"'{role}' is {value!r}", where=where, fix="name one step or model, or several once each")
    return values


def check_timed(target: Target, model: Path) -> None:
    """Refuse to time texts that are longer than the model has positions for.

    Args:
        model: the folder of the model from outside that the timed one is made from.
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
    lengths = {"task.max_length": task.spec.max_length}  # without data, built-in texts are read up to it
    lengths |= {f"targets.{name}.sequence_length": spec.sequence_length for name, spec in targets.items()}
    for key, length in lengths.items():
        if positions is not None and length > positions:
            raise InputError(
                f"{key} is {length}, but '{model.path.name}' has positions for {positions} tokens",
                where=where,
                fix=f"set {key} to at most {positions}",
            )


def _format_fix(reader_format: str, giver_format: str, reader: str, giver: str, *, is_step: bool) -> str:
    """What the user can do where a step reads one format and its input has another."""
    if _exported_from(giver_format) == reader_format and not is_step:
        return f"give the {reader_format} folder that '{giver}' was exported from"
    if _exported_from(giver_format) == reader_format:
        return f"move '{reader}' before the export that '{giver}' stands for"
    if _exported_from(reader_format) == giver_format:
        return f"put an {find(reader_format).export} step between '{giver}' and '{reader}'"
    why = find(giver_format).is_last or find(reader_format).is_last
    return f"let '{reader}' read an earlier step{'; ' + why if why else ''}"


def _exported_from(form: str) -> str | None:
    """The format that is exported to `form`; None if no stage exports to it."""
    export = find(form).export
    return None if export is None else stages.find(export).base.format
