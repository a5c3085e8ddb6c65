"""Checks of what a student can learn from its teacher: layers, heads and variants that do not fit are refused early."""

import math
from collections.abc import Iterable
from typing import Literal

from compress.context import KnownModel, KnownStep
from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, Shape
from compress.models.config_file import read_config
from compress.models.sizes import check_beside_embeddings
from compress.training.config import Augmentation, DistillationConfig


def check_lesson(config: DistillationConfig, step: KnownStep) -> None:
    """Refuse settings under which the step's model cannot learn from its teacher or from variants of the rows.

    Args:
        config: a training of the step. Its teacher is the input `teacher`, or else the model that the step reads.

    Raises:
        InputError: a setting does not fit.
    """
    check_masked_model(config.augment, next(iter(step.inputs.get("masked_model", ())), None))
    check_label_of_rows(config.augment, step.task.outputs)
    if not config.reads_states or config.epochs == 0:
        return
    teachers = step.inputs.get("teacher", (step.model,))
    check_states(config, step.shape, teachers[0].shape)
    if len(teachers) > 1:
        raise InputError(
            "hidden_weight and relation_weight look inside one teacher, and several are named",
            fix="set both to 0, or name one teacher",
        )
    check_same_ids(step.model.gives_ids_of(teachers[0]))


def check_widths(widths: Iterable[int], step: KnownStep) -> None:
    """Refuse widths to which the hidden states of the step's model cannot be narrowed.

    Raises:
        InputError: a width is that of the embeddings, and a matrix stands between both.
    """
    config = read_config(step.model.origin)
    architecture = ARCHITECTURES.get(str(config.get("model_type")))
    embeddings = config.get("embedding_size")
    if step.shape is None or architecture is None or architecture.maps_embeddings or embeddings is None:
        return
    if embeddings != config.get(architecture.hidden_field):  # else both are narrowed together
        for width in widths:
            check_beside_embeddings(width, embeddings, step.shape.head_size)


def check_states(config: DistillationConfig, student: Shape | None, teacher: Shape | None) -> None:
    """Refuse settings for hidden states and relations that do not fit these shapes.

    Raises:
        InputError: a family is not known, there is no such layer, or the numbers of layers or heads do not fit.
    """
    if not config.reads_states:
        return
    for role, shape in (("student", student), ("teacher", teacher)):
        if shape is None:
            raise InputError(
                f"hidden_weight and relation_weight need to see inside the {role}, whose architecture is not known",
                fix=f"set both to 0, or take one of these families: {', '.join(sorted(ARCHITECTURES))}",
            )
    assert student is not None
    assert teacher is not None
    if config.hidden_weight > 0:
        hidden_layers(config, student.layers, teacher.layers)
    if config.relation_weight > 0:
        layer = relation_layer(config, teacher.layers)
        heads = config.relation_heads
        widths = (student.head_size * student.heads[-1], teacher.head_size * teacher.heads[layer])
        if heads is not None and any(width % heads for width in widths):
            raise InputError(
                f"{heads} relation_heads do not divide the attention's widths, {widths[0]} and {widths[1]}",
                fix=f"take a divisor of {math.gcd(*widths)}, or leave relation_heads out",
            )


def hidden_layers(config: DistillationConfig, student: int, teacher: int) -> tuple[int, ...]:
    """The teacher's layers whose hidden states are learned, counted from 0.

    If the settings name none: one for each of the student's layers, evenly spaced, the last for the last, as in
    section 3.2 of TinyBERT (arXiv:1909.10351).

    Args:
        student, teacher: the number of layers of each.

    Raises:
        InputError: the teacher has no such layer, or fewer layers than the student where each must have its own.
    """
    if config.hidden_layers is not None:
        if wrong := [layer for layer in config.hidden_layers if not 0 <= layer < teacher]:
            raise InputError(
                f"hidden_layers names {wrong[0]}, where the teacher has {teacher} layers",
                fix=f"from 0 to {teacher - 1}",
            )
        if config.hidden_matching == "fixed" and len(config.hidden_layers) != student:
            raise InputError(
                f"hidden_layers names {len(config.hidden_layers)} layers for a student of {student}",
                fix="name one for each, or set hidden_matching: learned",
            )
        return config.hidden_layers
    if config.hidden_matching == "fixed" and student > teacher:
        raise InputError(
            f"a student of {student} layers cannot learn one each of a teacher of {teacher}",
            fix="set hidden_matching: learned",
        )
    count = min(student, teacher)
    return tuple(math.ceil((place + 1) * teacher / count) - 1 for place in range(count))


def relation_layer(config: DistillationConfig, teacher: int) -> int:
    """The teacher's layer whose relations are learned, counted from 0; the last if the settings name none.

    Args:
        teacher: its number of layers.

    Raises:
        InputError: the teacher has no such layer.
    """
    layer = teacher - 1 if config.relation_layer is None else config.relation_layer
    if layer >= teacher:
        raise InputError(
            f"relation_layer is {layer}, where the teacher has {teacher} layers", fix=f"from 0 to {teacher - 1}"
        )
    return layer


def check_same_ids(same: bool) -> None:
    """Refuse to compare the hidden states of models that read different token ids.

    Args:
        same: whether the student's tokenizer gives the same ids as its teacher's.

    Raises:
        InputError: the ids differ.
    """
    if not same:
        raise InputError(
            "hidden_weight and relation_weight need a student that reads the same token ids as its teacher",
            fix="set both to 0, or let the student keep its teacher's tokenizer",
        )


def check_masked_model(config: Augmentation, model: KnownModel | None) -> None:
    """Refuse variants that need a masked language model if there is none, and a model that no variant needs.

    Raises:
        InputError: the model is missing, not used, or not a masked language model.
    """
    if not config.makes_variants or not config.masked:
        if model is not None:
            raise InputError(
                "masked_model is named, and not used", fix="set augment: {copies: 1, masked: 1}, or leave it out"
            )
        return
    if model is None:
        raise InputError(
            "augment.masked needs a masked language model",
            fix="add masked_model: hf://org/name@revision to a distill step, or leave augment.masked out",
        )
    if model.step is not None:
        raise InputError(
            f"the step '{model.step}' gives no masked language model", fix="name a pretrained model from outside"
        )
    classes = read_config(model.origin).get("architectures") or []
    if not any(name.endswith(("ForMaskedLM", "ForPreTraining")) for name in classes):
        raise InputError(
            f"'{model.origin.name}' has no head for masked words; its class is {', '.join(classes) or 'not named'}",
            fix="name a model that was saved with it, such as a BertForMaskedLM",
        )


def check_label_of_rows(config: Augmentation, outputs: Literal["row", "token"]) -> None:
    """Refuse `augment.per_label` where each token has a label: it counts the rows of each label.

    Args:
        outputs: the task's outputs.

    Raises:
        InputError: `per_label` is set.
    """
    if config.per_label and outputs == "token":
        raise InputError(
            "augment.per_label counts the rows of each label, and here each token has one",
            fix="leave per_label out; augment: {copies: 2} makes as many variants of each row",
        )
