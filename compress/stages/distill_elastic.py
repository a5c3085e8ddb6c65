"""Teach a student of all sizes at once: each smaller model in it is the first part of every dimension of a larger one.

Use it to find out which depth and width a task needs, before any is trained: hundreds of sub-models can be scored as
they are. Heads, neurons and hidden channels are sorted by importance first, which changes no output. In each step the
largest, the smallest and some random sizes learn what the teacher says. `distill` then cuts a sub-model out of it
(`student: elastic`, with `layers`, `hidden`, `heads`, `ffn`), and trains it alone, or with `epochs: 0` leaves it as it
is. The last weights are kept, for the epoch that is best for one size is not so for another. Costs about two and a half
times as much as the training of its largest size alone.

```yaml
- {name: elastic, stage: distill_elastic, teacher: teacher, layers: [1, 2], heads: [2, 4], epochs: 1}
```

Hou et al. 2020 (arXiv:2004.04037); Cai et al. 2020 (arXiv:1908.09791); the sandwich rule of Yu and Huang 2019
(arXiv:1903.05134).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.errors import InputError
from compress.models.architectures import Shape
from compress.stages import STUDENT_INPUTS, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig

SCORE_ROWS = 256
"""Training rows by which heads, neurons and channels are sorted."""
SHARES = (1.0, 2 / 3, 1 / 3)
"""Shares of the whole that widths, heads and neurons have where no sizes are given; of neurons also a sixth."""

Sizes = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class Config(StageConfig, DistillationConfig):
    """The sizes and the loss."""

    layers: Sizes | None = None
    """Numbers of layers. Left out: each, from one to all."""
    hidden: Sizes | None = None
    """Widths of the hidden states, multiples of a head's size. Left out: all, two thirds and one third."""
    heads: Sizes | None = None
    """Numbers of attention heads. Left out: all, two thirds and one third."""
    ffn: Sizes | None = None
    """Numbers of feed-forward neurons. Left out: all, two thirds, one third and a sixth."""
    random_sizes: int = Field(2, ge=0, le=16)
    """Sub-models of random sizes that learn in each step, beside the largest and the smallest."""

    @model_validator(mode="after")
    def _compares_outputs_alone(self) -> "Config":
        if self.reads_states:
            raise ValueError("sub-models learn outputs alone: leave out hidden_weight and relation_weight")
        return self


def sizes_of(config: Config, shape: Shape) -> tuple[tuple[int, ...], ...]:
    """The sizes of each dimension, the largest first: layers, hidden, heads, neurons.

    Raises:
        InputError: a model of this shape has no such parts, or cannot be elastic.
    """
    from compress.models.elastic import refuse_elastic

    refuse_elastic(shape)
    step = shape.head_size
    whole = {"layers": shape.layers, "hidden": shape.hidden, "heads": min(shape.heads), "ffn": min(shape.neurons)}
    left_out = {
        "layers": tuple(range(1, shape.layers + 1)),
        "hidden": tuple(step * max(1, round(share * shape.hidden / step)) for share in SHARES),
        "heads": tuple(max(1, round(share * whole["heads"])) for share in SHARES),
        "ffn": tuple(max(1, round(share * whole["ffn"])) for share in (*SHARES, 1 / 6)),
    }
    found = {}
    for name, most in whole.items():
        sizes = getattr(config, name) or left_out[name]
        if max(sizes) > most:
            raise InputError(f"{name}: {max(sizes)} is more than the {most} of the model", fix=f"at most {most}")
        found[name] = tuple(sorted({*sizes, most}, reverse=True))
    wrong = [width for width in found["hidden"] if width % step]
    if wrong:
        raise InputError(
            f"a hidden width of {wrong[0]} is no multiple of a head's {step} channels",
            fix=f"take {max(1, round(wrong[0] / step)) * step}",
        )
    return tuple(found.values())


def run(
    *,
    teacher: tuple[Artifact, ...],
    student: Artifact | None,
    masked_model: Artifact | None,
    config: Config,
    context: Context,
    out: Path,
) -> dict[str, Any]:
    """Sort the parts, and train all sizes on the teacher's outputs."""
    from compress.models.elastic import sort_parts
    from compress.models.load import load_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import load_tokenizer
    from compress.ops.importance import most_important_first
    from compress.tasks import with_rows
    from compress.training.elastic import ElasticObjective
    from compress.training.loop import set_attention_dropout, set_seed
    from compress.training.scoring import ScoreRows, score_hidden, score_layers
    from compress.training.teacher import teach_student

    set_seed(context.seed)
    origin = student or teacher[0]
    network = load_model(
        origin.path, context.task.hub_task, labels=context.task.labels, trust_remote_code=context.trust_remote_code
    )
    tokenizer = load_tokenizer(origin.path)
    shape = model_shape(network)
    assert shape is not None  # checked by the plan
    sizes = sizes_of(config, shape)
    rows = ScoreRows(tokenizer, SCORE_ROWS, config, context)
    scores = score_layers(network, shape, "taylor", rows, "scoring heads and neurons")
    hidden = score_hidden(network, shape, "taylor", rows, "scoring hidden channels")
    orders = [(most_important_first(one.heads.scores), most_important_first(one.neurons.scores)) for one in scores]
    sort_parts(network, orders, most_important_first(hidden.scores))
    if config.attention_dropout is not None:
        set_attention_dropout(network, config.attention_dropout)
    objective = ElasticObjective(config, network, sizes, config.random_sizes, context.seed)
    unvalidated = replace(context, task=with_rows(context.task, validation=[]))
    facts = teach_student(
        network, tokenizer, origin, teacher, masked_model, config, unvalidated, out, objective=objective
    )
    return {**facts, "sizes": dict(zip(("layers", "hidden", "heads", "ffn"), map(list, sizes), strict=True))}


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    start = shapes["student"] if "student" in shapes else shapes["teacher"]
    if start is None:
        raise InputError(
            "the parts of this model's architecture are not known, so they cannot be sorted",
            fix="take a model of another family",
        )
    sizes_of(config, start)
    return start


def _check(step: KnownStep) -> None:
    """Refuse a training whose teacher does not fit the student, and widths that it cannot have."""
    from compress.training.matching import check_lesson, check_widths

    check_lesson(step.config, step)
    assert step.shape is not None  # see `_shape`
    check_widths(sizes_of(step.config, step.shape)[1], step)


STAGE = Stage(
    Config,
    run,
    inputs=STUDENT_INPUTS,
    output="torch",
    version=1,
    tag="distilled",
    shape=_shape,
    base_role="teacher",
    model_role="student",
    teacher_role="teacher",
    check=_check,
)
