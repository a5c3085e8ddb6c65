"""Teach a student without a transformer what its teacher says: one convolution over the embeddings of tokens.

Use it where the words beside a word change what it says, as in opinions: such a model knows the order of neighbours,
costs hardly more time than distill_ngrams, hundreds of times less than a transformer, and is nearly all table. Where
topics are told by single words, distill_ngrams is smaller and as good; where far words belong together, take distill.
Each channel looks for a pattern in `width` tokens in a row, and says how well the best place in the text fits it. The
table starts as the teacher's embeddings of the tokens, narrowed. It learns from the training rows, unlabelled
rows, and variants of both, which such a student needs more of than others do. Costs one pass of the teacher, kept for
all later steps under the same teacher, and half a minute of training for each hundred thousand rows.

```yaml
- {name: student, stage: distill_convolution, hidden: 64, channels: 64, augment: {copies: 10, parts: 0.5}}
```

With `student: trimmed`, a step of trim_vocabulary, it has that step's tokenizer: a smaller table.

Kim 2014 (arXiv:1408.5882), section 2, with one width; a transformer taught to a small student of another kind as by
Tang et al. 2019 (arXiv:1903.12136).
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.stages import STUDENT_INPUTS, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig
from compress.training.table_size import TRAINED, check_labels, check_outside, check_size, check_start, no_shape


class Config(StageConfig, DistillationConfig):
    """The student and its loss."""

    hidden: int = Field(64, ge=1, le=4096)
    """Width of the table, at most that of the teacher's embeddings, from which it starts."""
    channels: int = Field(64, ge=1, le=4096)
    """Patterns that are looked for."""
    width: int = Field(3, ge=1, le=15)
    """Tokens of a pattern."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the embeddings, and of the patterns, dropped while training."""
    epochs: float = Field(2.0, gt=0, le=10_000)
    """Passes over the rows that are trained on."""
    learning_rate: float = Field(2e-3, gt=0, lt=10)
    """Peak rate of the table and the convolution."""
    head_learning_rate: float | None = Field(2e-3, gt=0, lt=10)
    """Peak rate of the classifier. null: 10 x learning_rate."""
    batch_size: int = Field(128, ge=1)
    """Rows a step."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of all steps in which the rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decay of matrices, the table too; biases are left alone."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Mixed precision; there is little to gain, for there is little to multiply."""

    @model_validator(mode="after")
    def _fits_itself(self) -> "Config":
        check_outside(self)
        return self


def run(
    *,
    teacher: tuple[Artifact, ...],
    student: Artifact | None,
    masked_model: Artifact | None,
    config: Config,
    context: Context,
    out: Path,
) -> dict[str, Any]:
    """Start the table, train it on the teacher's outputs, and keep the epoch that is best on the validation rows."""
    import torch

    from compress.models.convolution import ConvolutionForSequenceClassification, config_for
    from compress.models.tokenizer import load_tokenizer
    from compress.training.loop import set_seed
    from compress.training.table import narrowed, start_of
    from compress.training.teacher import teach_student

    set_seed(context.seed)
    origin = student or teacher[0]
    tokenizer = load_tokenizer(origin.path)
    sizes = config_for(
        tokenizer,
        context.task.labels,
        hidden_size=config.hidden,
        channels=config.channels,
        width=config.width,
        dropout=config.dropout,
    )
    network = ConvolutionForSequenceClassification(sizes)
    embeddings, batches = start_of(origin, tokenizer, sizes.vocab_size, config.hidden, config, context)
    tokens, kept_share = narrowed(embeddings, batches, config.hidden)
    with torch.no_grad():
        network.convolution.table.weight.copy_(tokens)
    facts = {"parameters": network.num_parameters(), "embedding_squares_kept": round(kept_share, 5)}
    return facts | teach_student(network, tokenizer, origin, teacher, masked_model, config, context, out)


def _check(step: KnownStep) -> None:
    """Refuse, before any work, a table that cannot be started, held or shipped, and rows without one label each."""
    from compress.training.matching import check_lesson

    config = step.config
    check_labels(step, "distill_convolution")
    check_lesson(config, step)
    check_start(config.hidden, step.model)
    check_size(step, config.hidden, TRAINED, others=config.channels * config.width * config.hidden)


STAGE = Stage(
    Config,
    run,
    inputs=STUDENT_INPUTS,
    output="torch",
    version=1,
    tag="distilled",
    shape=no_shape,
    base_role="teacher",
    model_role="student",
    teacher_role="teacher",
    check=_check,
)
