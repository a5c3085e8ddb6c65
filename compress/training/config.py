"""Settings of a training, as recipes write them. Light to import."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from compress.recipe.schema import Model

KEPT = 3
"""Checkpoints that a training keeps: the best, the newest, and the one before, for a kill in the middle of saving."""


class TrainingConfig(Model):
    """How long and how fast to train."""

    TOPIC: ClassVar[str] = "Training"
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"validations"})

    epochs: float = Field(2.0, gt=0, le=10_000)
    """Passes over the rows that are trained on."""
    learning_rate: float = Field(1e-4, gt=0, lt=10)
    """Peak rate of the encoder."""
    head_learning_rate: float | None = Field(None, gt=0, lt=10)
    """Peak rate of what stands on top of the encoder (pooler, classifier). Left out: 10 x learning_rate."""
    batch_size: int = Field(16, ge=1)
    """Rows a step, on the device."""
    gradient_accumulation: int = Field(1, ge=1)
    """Steps whose gradients are summed before the weights change."""
    train_length: int | None = Field(None, ge=4, le=8192)
    """Tokens kept of each text while training. Left out: the task's."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls after the warm-up."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of all steps in which the rate rises from 0."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's decay of matrices; biases and norms are left alone."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are clipped to this norm."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Mixed precision. auto: bf16 where the GPU or the CPU (AVX512-BF16, AMX) multiplies it, else fp16 on a GPU, fp32
    on a CPU."""
    attention_dropout: float | None = Field(None, ge=0, lt=1)
    """Share of attention weights dropped while training. 0 halves a CPU's time, whose fast attention has no dropout.
    Left out: the model's own."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many validations without a better score."""
    validations: int | None = Field(None, ge=1)
    """Validations, evenly spread over the steps; the best one's weights are kept. Left out: one after each epoch."""


def steps_of(config: TrainingConfig, rows: int) -> int:
    """The number of optimizer steps of a training on so many rows."""
    batches = math.ceil(rows / config.batch_size)
    return math.ceil(math.ceil(batches / config.gradient_accumulation) * config.epochs)


def steps_between_validations(config: TrainingConfig, steps: int) -> int | None:
    """The number of steps from a validation to the next, of `steps` in all; None: an epoch."""
    return None if config.validations is None else math.ceil(steps / config.validations)


def trainings_in(settings: Model) -> list[TrainingConfig]:
    """The trainings among a stage's settings; those of 0 epochs are left out."""
    if isinstance(settings, TrainingConfig):
        return [settings] if settings.epochs > 0 else []
    return [training for _, part in settings if isinstance(part, Model) for training in trainings_in(part)]


class Augmentation(Model):
    """New variants of rows: some are cut, and some of their words are changed, each in one of several ways."""

    TOPIC: ClassVar[str] = "Variants of the rows"
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"per_label", "mix", "splice", "parts", "unchanged"})

    copies: int = Field(0, ge=0, le=1000)
    """Variants of each row, training and unlabelled."""
    per_label: int = Field(0, ge=0)
    """Rows that each label has at least, variants counted: of rare labels more copies are made, a hundred at most, and
    labels are mixed in equally often."""
    mix: float = Field(0.0, ge=0, le=1)
    """Share of the variants in which a part of the text gives way to a part of another row's."""
    splice: float = Field(0.0, ge=0, le=1)
    """Share of the variants that begin as the text and end as another row's, from a word on that both have."""
    parts: float = Field(0.0, ge=0, le=1)
    """Share of the variants that are consecutive words of the text alone, without the rest."""
    unchanged: float = Field(0.0, ge=0, le=1)
    """Share of the mixed, spliced and cut variants whose words stay as they are."""
    share: float = Field(0.15, gt=0, le=1)
    """Share of a row's words that are changed, at least one."""
    swap: float = Field(1.0, ge=0)
    """Weight of changing places with the next word, among the ways of changing."""
    delete: float = Field(1.0, ge=0)
    """Weight of taking a word out."""
    neighbours: float = Field(2.0, ge=0)
    """Weight of putting a word in its place that lies near it in the teacher's table of input embeddings."""
    masked: float = Field(0.0, ge=0)
    """Weight of putting a word in its place that a masked language model, the input masked_model, expects there."""
    nearest: int = Field(10, ge=1)
    """From how many of the nearest, or likeliest, words one is drawn."""

    @property
    def makes_variants(self) -> bool:
        """Whether any row gets a variant."""
        return self.copies > 0 or self.per_label > 0

    @property
    def cuts(self) -> dict[str, float]:
        """The ways of cutting texts, with the share of the variants that each makes, in a fixed order."""
        return {"mix": self.mix, "splice": self.splice, "parts": self.parts}

    @property
    def weights(self) -> dict[str, float]:
        """The ways of changing a word that have a weight, in a fixed order."""
        weights = {"swap": self.swap, "delete": self.delete, "neighbours": self.neighbours, "masked": self.masked}
        return {way: weight for way, weight in weights.items() if weight > 0}

    @model_validator(mode="after")
    def _changes_something(self) -> "Augmentation":
        if sum(self.cuts.values()) > 1 + 1e-9:
            shares = " + ".join(f"{name} {share:g}" for name, share in self.cuts.items() if share)
            raise ValueError(f"the shares of the variants, {shares}, are more than 1: lower one of them")
        if not self.weights:
            raise ValueError("all ways of changing a word have the weight 0: give one of them more")
        return self


class DistillationConfig(TrainingConfig):
    """A training under a teacher: the weights of the parts of its loss."""

    TOPIC: ClassVar[str] = "What is learned from the teacher"

    temperature: float = Field(2.0, gt=0)
    """Softens the teacher's and the student's distributions."""
    soft_weight: float = Field(1.0, ge=0)
    """Weight of the divergence from the teacher."""
    hard_weight: float = Field(0.1, ge=0)
    """Weight of the cross-entropy to the true labels, where a row has one."""
    hidden_weight: float = Field(0.0, ge=0)
    """Weight of the squared error to the teacher's hidden states, through a learned projection to its width."""
    hidden_matching: Literal["fixed", "learned"] = "fixed"
    """fixed: each of the student's layers learns one of the teacher's; learned: each of the teacher's layers is learned
    by the student's nearest."""
    hidden_layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    """The teacher's layers that are learned, counted from 0. Left out: one for each of the student's, evenly spaced."""
    relation_weight: float = Field(0.0, ge=0)
    """Weight of the divergence from the teacher's attention relations, of queries, keys and values each."""
    relation_layer: int | None = Field(None, ge=0)
    """The teacher's layer whose relations the student's last learns, counted from 0. Left out: the last."""
    relation_heads: int | None = Field(None, ge=1)
    """Relation heads; must divide both attentions' widths. Left out: the most that do, up to the teacher's heads."""
    augment: Augmentation = Augmentation()
    """New variants of the training and unlabelled rows, from which the student learns what the teacher says of them."""

    @property
    def asks_teacher(self) -> bool:
        """Whether any part of the loss needs the teacher."""
        return self.soft_weight > 0 or self.reads_states

    @property
    def reads_states(self) -> bool:
        """Whether any part of the loss compares hidden states or attention relations with the teacher's."""
        return self.hidden_weight > 0 or self.relation_weight > 0

    @model_validator(mode="after")
    def _teaches_something(self) -> "DistillationConfig":
        if self.hard_weight == 0 and not self.asks_teacher:
            raise ValueError("all weights of the loss are 0: give soft_weight, hard_weight or another")
        if self.augment.copies and not self.asks_teacher:
            raise ValueError("augment.copies has no labels, so it needs a teacher: raise soft_weight above 0")
        return self


class Recover(DistillationConfig):
    """The training after a model was made smaller."""

    epochs: float = Field(1.0, ge=0, le=10_000)
    """Passes over the training rows; 0 leaves the model as that made it."""


class RecoverRounded(Recover):
    """A training with the rounding of the graph that the model will become."""

    TOPIC: ClassVar[str] = "Training with the rounding"

    learning_rate: float = Field(5e-5, gt=0, lt=10)
    """Peak rate of the encoder."""
    scale_learning_rate: float = Field(1e-3, gt=0, lt=10)
    """Peak rate of the scales: of their logarithms, so that a step changes each by about this share."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the hidden states dropped while training: none, so that only the rounding is to be made up for."""
    attention_dropout: float | None = Field(0.0, ge=0, lt=1)
    """Share of attention weights dropped while training. null: that of the hidden states."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Number format of the training's matrix products: in half precision they round a second time, elsewhere than the
    graph."""
