"""Teach a student without a transformer what its teacher says: a sum of weights of n-grams of tokens.

Use it where single words and their neighbours decide, as in topics of news: such a model is hundreds of times faster
than a transformer, and is nearly all table. Where the order of words matters, compare it with distill. Each token has a
row of the table; longer n-grams are hashed into buckets behind those. With `hidden` the table is wider than the labels
are many, and starts as the teacher's embeddings of the tokens, narrowed. It learns from the training rows, the task's
unlabelled rows, and variants of both, which such a student needs more of than others do. Costs one pass of the teacher,
kept for all later steps under the same teacher, and a minute of training for some ten thousand rows.

```yaml
- {name: student, stage: distill_ngrams, longest: 2, buckets: 32768, augment: {copies: 10, parts: 0.5}}
```

A few thousand long texts want a higher `learning_rate`, 0.15: each row of the table is read in few steps, and starts at
zero (Reuters R8's validation rows: 96.2%, 93.8% at 0.05 and 87.2% at 0.02; SST-2's with variants: 81.1% at 0.05, 81.3%
at 0.02). With `hidden` it starts from embeddings: take 0.01.

With `student: trimmed`, a step of trim_vocabulary, it has that step's tokenizer: a smaller table.

Ye et al. 2022 (arXiv:2110.08536); Joulin et al. 2017 (arXiv:1607.01759).
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.stages import STUDENT_INPUTS, Stage, StageConfig, refuse_idle_settings
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig
from compress.training.table_size import (
    TRAINED,
    check_buckets,
    check_labels,
    check_outside,
    check_size,
    check_start,
    no_shape,
)


class Config(StageConfig, DistillationConfig):
    """The student and its loss."""

    longest: int = Field(2, ge=1, le=4)
    """Tokens of the longest n-grams; 1: single tokens alone."""
    buckets: int = Field(32768, ge=0, le=100_000_000)
    """Rows of the table for all n-grams of two tokens and more."""
    hidden: int | None = Field(None, ge=1, le=4096)
    """Width of the table, at most that of the teacher's embeddings, from which it starts; a classifier stands behind
    it. Left out: a channel for each label, nothing behind it, and a start from zero: the smallest, and on rows that are
    not many the best, for it learns them less by heart."""
    layer: int = Field(0, ge=0, le=4096)
    """Neurons of a hidden layer behind the mean; 0: none."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of channels dropped while training."""
    epochs: float = Field(6.0, gt=0, le=10_000)
    """Passes over the rows that are trained on."""
    learning_rate: float = Field(5e-2, gt=0, lt=10)
    """Peak rate of the table. With few rows take more, 0.15; with hidden less, 0.01."""
    head_learning_rate: float | None = Field(1e-2, gt=0, lt=10)
    """Peak rate of the layers behind the table. null: 10 x learning_rate."""
    batch_size: int = Field(256, ge=1)
    """Rows a step."""
    warmup: float = Field(0.03, ge=0, lt=1)
    """Share of all steps in which the rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decay of the layers behind the table; the table has none."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Mixed precision; there is little to gain, for there is little to multiply."""

    @model_validator(mode="after")
    def _fits_itself(self) -> "Config":
        check_outside(self)
        check_buckets(self.longest, self.buckets)
        if self.hidden is None:
            refuse_idle_settings(self, "hidden", dict.fromkeys(("layer", "dropout"), "hidden: 32"))
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
    from compress.models.ngrams import NgramsForSequenceClassification, config_for
    from compress.models.tokenizer import load_tokenizer
    from compress.training.loop import set_seed
    from compress.training.table import start_of, start_table
    from compress.training.teacher import teach_student

    set_seed(context.seed)
    origin = student or teacher[0]
    tokenizer = load_tokenizer(origin.path)
    labels = context.task.labels
    sizes = config_for(
        tokenizer,
        labels,
        longest=config.longest,
        buckets=config.buckets,
        hidden_size=config.hidden or len(labels),
        has_classifier=config.hidden is not None,
        layer_size=config.layer,
        dropout=config.dropout,
    )
    network = NgramsForSequenceClassification(sizes)
    facts: dict[str, Any] = {"parameters": network.num_parameters()}
    if config.hidden is not None:
        embeddings, batches = start_of(origin, tokenizer, sizes.vocab_size, config.hidden, config, context)
        facts["embedding_squares_kept"] = round(start_table(network, embeddings, batches), 5)
    return facts | teach_student(network, tokenizer, origin, teacher, masked_model, config, context, out)


def _check(step: KnownStep) -> None:
    """Refuse, before any work, a table that cannot be started, held or shipped, and rows without one label each."""
    from compress.training.matching import check_lesson

    config = step.config
    check_labels(step, "distill_ngrams")
    check_lesson(config, step)
    if config.hidden is not None:
        check_start(config.hidden, step.model, "; or set hidden: null")
    width, buckets = config.hidden or len(step.task.labels), config.buckets if config.longest > 1 else 0
    check_size(step, width, TRAINED, buckets=buckets)


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
