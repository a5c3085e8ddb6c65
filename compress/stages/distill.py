"""Teach a smaller student what its teacher says.

Use it to lose layers: it costs less accuracy than pruning them. The student is made of some of the teacher's own
layers, or is any other model, with another tokenizer too. Costs one pass of the teacher, kept for all later steps
under the same teacher, and the student's own training.

```yaml
- {name: student, stage: distill, layers: 2, temperature: 2.0, epochs: 3}
```

Hinton et al. 2015 (arXiv:1503.02531); layers taken as by Sanh et al. 2019 (arXiv:1910.01108).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from compress.context import Context
from compress.errors import InputError
from compress.models.architectures import Shape, evenly_spaced
from compress.stages import Input, Stage, StageConfig
from compress.store import Artifact
from compress.training.config import DistillationConfig


class Config(StageConfig, DistillationConfig):
    """The student and its loss."""

    layers: Annotated[int, Field(ge=1)] | Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """How many of the teacher's layers, evenly spaced; or which, counted from 0. Left out where `student` is given."""


def run(
    *,
    teacher: tuple[Artifact, ...],
    student: Artifact | None,
    masked_model: Artifact | None,
    config: Config,
    context: Context,
    out: Path,
) -> dict[str, Any]:
    """Train the student on the teacher's outputs, and keep the epoch that is best on the validation rows."""
    from compress.models.load import load_model, save_model
    from compress.models.reshape import keep_layers, model_shape
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.training.loop import set_seed
    from compress.training.teacher import train_under_teacher

    set_seed(context.seed)
    origin = student or teacher[0]
    network = load_model(
        origin.path,
        context.task.hub_task,
        labels=context.task.labels,
        trust_remote_code=context.trust_remote_code,
    )
    kept = None
    if student is None:
        shape = model_shape(network)
        assert shape is not None  # checked by the plan
        kept = _layers(config, shape.layers)
        keep_layers(network, kept)
    facts = train_under_teacher(
        network,
        load_tokenizer(origin.path),
        teacher,
        config,
        context,
        what="distilling",
        masked_model=masked_model,
    )
    save_model(network, out)
    copy_tokenizer(origin.path, out)
    return {"layers_kept": kept, **facts}


def _layers(config: Config, total: int) -> tuple[int, ...]:
    """The teacher's layers that the settings ask for.

    Raises:
        InputError: the teacher has no such layers.
    """
    if isinstance(config.layers, tuple):
        wrong = [index for index in config.layers if not 0 <= index < total]
        if wrong or len(set(config.layers)) != len(config.layers):
            raise InputError(
                f"the layers {list(config.layers)} cannot be taken from a teacher of {total}",
                fix=f"each at most once, from 0 to {total - 1}",
            )
        return config.layers
    count = config.layers or total
    if count > total:
        raise InputError(
            f"a student of {count} layers cannot be taken from a teacher of {total}", fix=f"at most {total}"
        )
    return evenly_spaced(count, total)


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    if "student" in shapes:
        if config.layers is not None:
            raise InputError("both 'student' and 'layers' are given", fix="give one of the two")
        return shapes["student"]
    if config.layers is None:
        raise InputError("the student is not described", fix="add layers: 2, or student: another model")
    teacher = shapes["teacher"]
    if teacher is None:
        raise InputError(
            "layers cannot be taken from this teacher: the parts of its architecture are not known",
            fix="name another model: student: hf://org/name@main",
        )
    return teacher.with_layers(_layers(config, teacher.layers))


STAGE = Stage(
    Config,
    run,
    inputs={
        "teacher": Input("torch", many=True),
        "student": Input("torch", optional=True, makes_head=True),
        "masked_model": Input("torch", optional=True, makes_head=True),
    },
    output="torch",
    version=4,
    shape=_shape,
)
