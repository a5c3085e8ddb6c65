"""Losses that teach a student."""

import torch
from torch.nn import functional

from compress.errors import CompressError


def soft_label_loss(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Soft-label loss of Hinton et al. 2015 (arXiv:1503.02531), section 2.

    The Kullback-Leibler divergence from the student's to the teacher's softened distribution.

    Args:
        student_logits: (batch, classes), any float; computed in float32.
        teacher_logits: (batch, classes), no gradient.
        temperature: > 0; the loss is scaled by temperature**2.

    Returns:
        Scalar in nats, mean over the batch.

    Raises:
        CompressError: the shapes differ.
    """
    if student_logits.shape != teacher_logits.shape:
        raise CompressError(
            f"the student's outputs have the shape {tuple(student_logits.shape)}, "
            f"the teacher's {tuple(teacher_logits.shape)}",
            fix="student and teacher need the same labels",
        )
    student = functional.log_softmax(student_logits.float() / temperature, dim=-1)  # (batch, classes)
    teacher = functional.log_softmax(teacher_logits.detach().float() / temperature, dim=-1)  # (batch, classes)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def distillation_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    temperature: float,
    soft_weight: float,
    hard_weight: float,
) -> torch.Tensor:
    """Weighted sum of the soft-label loss and the cross-entropy to the true labels, in nats.

    Args:
        student_logits: (batch, classes).
        teacher_logits: (batch, classes).
        labels: (batch,) class indices.
        temperature: of the soft-label loss.
        soft_weight, hard_weight: of the two parts.
    """
    soft = soft_label_loss(student_logits, teacher_logits, temperature)
    hard = functional.cross_entropy(student_logits.float(), labels)
    return soft_weight * soft + hard_weight * hard
