"""Teach a smaller student what its teacher says.

Use it to lose layers and width: it costs less accuracy than pruning them. The student is cut out of the teacher, or
of the model that is named as `student`, or is any other model as it stands, with another tokenizer too. It learns from
the training rows, from the task's unlabelled rows, and from variants of both, all of them labelled by the teacher, or
by the mean of several. Costs one pass of the teacher, kept for all later steps under the same teacher, and the
student's own training.

```yaml
- {name: student, stage: distill, layers: 2, temperature: 2.0, epochs: 3, augment: {copies: 2, mix: 0.5}}
```

Where rows are few, variants can be many times as many. On SST-2's 6,920 sentences a student of two narrow layers had
79% of 872 validation rows right after 1,600 steps on the rows alone, 81% with 40,000 parts of them beside, and 82% with
40,000 mixes (one seed each). `validations` keeps the best weights where a pass is long. Two hundred thousand variants
of sentences take ten seconds to make, and 20 MB; the teacher reads them at its own speed. A variant that equals a test
row is left out, and the report counts it.

A narrow student is cut in steps: whole layers first, then narrower and narrower, each trained before the next cut.
On SST-2's rows one of 128 channels gained 2.5 points by this, on made sentences in which the order of words decides 11
(`benchmarks/hard`).

A student with its teacher's tokenizer can learn the teacher's inside too: `hidden_weight` for hidden states, through a
projection that is learned, `relation_weight` for attention relations. The teacher then runs beside the student at each
step, which costs a forward pass of it.

Hinton et al. 2015 (arXiv:1503.02531); layers taken as by Sanh et al. 2019 (arXiv:1910.01108); hidden states as TinyBERT
(arXiv:1909.10351) with fixed and as CoFi (arXiv:2204.00408) with learned matching of layers; relations of MiniLMv2
(arXiv:2012.15828).
"""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.errors import InputError
from compress.models.architectures import Shape, evenly_spaced
from compress.models.sizes import check_whole
from compress.stages import STUDENT_INPUTS, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig

if TYPE_CHECKING:
    from compress.tasks import Task

SCORE_ROWS = 256
"""Training rows from which the directions of narrower hidden states are found."""
GRADUAL_CUTS = 3
"""Cuts of a student that gets narrower."""
CUT_SHARE = 1 / 6
"""Passes after a cut, as a share of those after the last."""


class Config(StageConfig, DistillationConfig):
    """The student and its loss."""

    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"cuts", "cut_epochs", "cut_learning_rate"})

    epochs: float = Field(2.0, ge=0, le=10_000)
    """Passes over the rows that are trained on; 0 leaves the student as it is cut out, such as of an elastic one."""
    layers: Annotated[int, Field(ge=1)] | Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """How many layers the student has; or which it takes, counted from 0. Left out: all."""
    layers_from: Literal["even", "first", "last"] = "even"
    """Which layers a number of them are: evenly spaced, with the first and the last among them; the first; the last."""
    hidden: int | None = Field(None, ge=1)
    """Width of the student's hidden states, a multiple of a head's size: the directions in which they vary most."""
    heads: int | None = Field(None, ge=1)
    """Attention heads in each of the student's layers: those with the largest weights."""
    ffn: int | None = Field(None, ge=1)
    """Feed-forward neurons in each of the student's layers: those with the largest weights."""

    cuts: int | None = Field(None, ge=1, le=100)
    """Cuts until the student has its size: of layers first, then of heads, neurons and hidden channels, evenly. Left
    out: 3 with `hidden`, else 1. An elastic model, trained in all sizes, is cut at once."""
    cut_epochs: float | None = Field(None, gt=0, le=10_000)
    """Passes over the rows that are trained on, after each cut but the last. Left out: a sixth of `epochs`."""
    cut_learning_rate: float = Field(3e-4, gt=0, lt=10)
    """Peak rate of the encoder after the first of several cuts; later ones come evenly nearer to learning_rate."""

    @model_validator(mode="before")
    @classmethod
    def _cuts_narrow_students_often(cls, settings: Any) -> Any:
        """Say how often a narrow student is cut, so that its key tells it from one that was cut at once."""
        if isinstance(settings, dict) and settings.get("hidden") is not None and settings.get("cuts") is None:
            return {**settings, "cuts": GRADUAL_CUTS}
        return settings

    @model_validator(mode="after")
    def _changes_something(self) -> "Config":
        if self.epochs == 0 and not self.is_smaller:
            raise ValueError("with epochs: 0 nothing is trained: give layers, hidden, heads or ffn, or more epochs")
        return self

    @property
    def is_smaller(self) -> bool:
        """Whether the student is smaller than the model that it starts from."""
        return any(size is not None for size in (self.layers, self.hidden, self.heads, self.ffn))

    @property
    def cut_count(self) -> int:
        """The number of cuts, at most: one that would change nothing is left out."""
        if self.epochs == 0 or not self.is_smaller:
            return 1
        return self.cuts or 1


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
    from compress.models.elastic import is_sorted
    from compress.models.load import load_model, save_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.training.loop import set_seed
    from compress.training.scoring import ScoreRows
    from compress.training.student import take_parts
    from compress.training.teacher import teach_student, train_under_teacher

    set_seed(context.seed)
    origin = student or teacher[0]
    network = load_model(
        origin.path,
        context.task.hub_task,
        labels=context.task.labels,
        trust_remote_code=context.trust_remote_code,
    )
    tokenizer = load_tokenizer(origin.path)
    facts: dict[str, Any] = {"layers_kept": None}
    if config.is_smaller:
        shape = model_shape(network)
        assert shape is not None  # checked by the plan
        if is_sorted(network):
            config = config.model_copy(update={"cuts": 1})
        rows = ScoreRows(tokenizer, SCORE_ROWS, config, context)
        layers = layers_of(config, shape.layers)
        sizes = student_sizes(config, shape, _other_widths(network.config.to_dict(), context.task))
        facts = take_parts(network, layers, sizes[0], rows)
        for number, (training, size) in enumerate(zip(_trainings(config), sizes[1:], strict=False), 1):
            what = f"distilling after cut {number} of {len(sizes)}"
            train_under_teacher(network, tokenizer, teacher, training, context, what=what, masked_model=masked_model)
            facts |= take_parts(network, range(size.layers), size, rows) | {"layers_kept": layers}
    if config.epochs == 0:
        save_model(network, out)
        copy_tokenizer(origin.path, out)
        return facts
    return facts | teach_student(network, tokenizer, origin, teacher, masked_model, config, context, out)


def layers_of(config: Config, total: int) -> tuple[int, ...]:
    """The layers that the settings take from a model of `total` layers.

    Raises:
        InputError: it has no such layers.
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
    first = {"first": range(count), "last": range(total - count, total)}
    return tuple(first.get(config.layers_from, evenly_spaced(count, total)))


def student_shape(config: Config, start: Shape) -> Shape:
    """The sizes of the student that the settings cut out of a model with the sizes `start`.

    Raises:
        InputError: it has no such parts.
    """
    cut = start.with_layers(layers_of(config, start.layers))
    if config.heads or config.ffn or config.hidden:
        check_whole(start)
    for kind, size, largest in (
        ("heads", config.heads, min(cut.heads)),
        ("neurons", config.ffn, min(cut.neurons)),
        ("hidden channels", config.hidden, cut.hidden),
    ):
        if size is not None and size > largest:
            raise InputError(
                f"a student of {size} {kind} cannot be taken from a teacher of {largest}", fix=f"at most {largest}"
            )
    hidden = config.hidden or cut.hidden
    if hidden % cut.head_size:
        raise InputError(
            f"a hidden width of {hidden} is no multiple of a head's {cut.head_size} channels",
            fix=f"take {max(1, round(hidden / cut.head_size)) * cut.head_size}",
        )
    return replace(
        cut,
        hidden=hidden,
        heads=(config.heads,) * cut.layers if config.heads else cut.heads,
        neurons=(config.ffn,) * cut.layers if config.ffn else cut.neurons,
    )


def student_sizes(config: Config, start: Shape, other_widths: Collection[int] = ()) -> list[Shape]:
    """The sizes that the student has after each cut of a model with the sizes `start`; the last are its own.

    Args:
        other_widths: those of other things in the model, which its hidden states must not have on the way.

    Raises:
        InputError: the model has no such parts.
    """
    last = student_shape(config, start)
    first = start.with_layers(layers_of(config, start.layers))
    cuts = config.cut_count
    between = [_between(first, last, number / (cuts - 1), other_widths) for number in range(cuts - 1)]
    steps = [start, *between, last]
    changing = [shape for before, shape in itertools.pairwise(steps) if shape not in (before, last)]
    return [*changing, last]


def _between(first: Shape, last: Shape, share: float, other_widths: Collection[int]) -> Shape:
    """The sizes when `share` of the way from the first to the last has been gone."""

    def between(most: int, least: int, multiple: int = 1) -> int:
        return max(least, min(most, round((most + share * (least - most)) / multiple) * multiple))

    hidden = between(first.hidden, last.hidden, first.head_size)
    while hidden in other_widths and hidden < first.hidden:
        hidden += first.head_size
    return replace(
        first,
        hidden=hidden,
        heads=tuple(between(*heads) for heads in zip(first.heads, last.heads, strict=True)),
        neurons=tuple(between(*neurons, 8) for neurons in zip(first.neurons, last.neurons, strict=True)),
    )


def _other_widths(model_config: Mapping[str, Any], task: "Task") -> set[int]:
    """The widths by which hidden states are told from embeddings and from classes."""
    return {len(task.labels), model_config.get("embedding_size") or 0}


def _trainings(config: Config) -> list[Config]:
    """The trainings after each cut, that after the last with the settings' own rate."""
    if config.epochs == 0:
        return []
    slow, cuts = min(config.cut_learning_rate, config.learning_rate), config.cut_count
    epochs = config.cut_epochs or CUT_SHARE * config.epochs
    rates = [slow * (config.learning_rate / slow) ** (number / (cuts - 1)) for number in range(cuts - 1)]
    return [*(config.model_copy(update={"epochs": epochs, "learning_rate": rate}) for rate in rates), config]


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    start = shapes["student"] if "student" in shapes else shapes["teacher"]
    if not config.is_smaller:
        if "student" in shapes:
            return start
        raise InputError("the student is not described", fix="add layers: 2, or student: another model")
    if start is None:
        raise InputError(
            "a student cannot be cut out of this model: the parts of its architecture are not known",
            fix="name another model: student: hf://org/name@main",
        )
    return student_shape(config, start)


def _check(step: KnownStep) -> None:
    """Refuse a training whose teacher does not fit the student, and a width that it cannot have, after each cut."""
    from compress.models.config_file import read_config
    from compress.training.matching import check_lesson, check_widths

    config = step.config
    check_widths([config.hidden] if config.hidden else [], step)
    check_lesson(config, step)
    if config.is_smaller and step.model.shape is not None:
        other_widths = _other_widths(read_config(step.model.origin), step.task)
        for size in student_sizes(config, step.model.shape, other_widths):
            check_lesson(config, replace(step, shape=size))


STAGE = Stage(
    Config,
    run,
    inputs=STUDENT_INPUTS,
    output="torch",
    version=5,
    tag="distilled",
    shape=_shape,
    base_role="teacher",
    model_role="student",
    teacher_role="teacher",
    check=_check,
    trainings=_trainings,
)
