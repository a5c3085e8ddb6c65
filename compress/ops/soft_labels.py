"""Learning what a teacher says of a row: all its classes, softened."""

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
