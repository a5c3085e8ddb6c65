"""Settings of a training, as recipes write them. Light to import."""

from typing import Literal

from pydantic import Field

from compress.recipe import Model

KEPT = 3
"""Checkpoints that a training keeps: the best, the newest, and the one before, for a kill in the middle of saving."""


class TrainingConfig(Model):
    """How long and how fast to train."""

    epochs: float = Field(2.0, gt=0, le=10_000)
    """Passes over the training rows."""
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
    """Stop after so many epochs without a better validation score."""


class DistillationConfig(TrainingConfig):
    """A training under a teacher: the weights of the parts of its loss."""

    temperature: float = Field(2.0, gt=0)
    """Softens the teacher's and the student's distributions."""
    soft_weight: float = Field(1.0, ge=0)
    """Weight of the divergence from the teacher."""
    hard_weight: float = Field(0.1, ge=0)
    """Weight of the cross-entropy to the true labels."""
