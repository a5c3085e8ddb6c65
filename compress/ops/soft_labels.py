"""The loss against a teacher's softened probabilities of all classes, for rows or tokens."""

import torch
from torch.nn import functional

from compress.errors import CompressError


def soft_label_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Soft-label loss of Hinton et al. 2015 (arXiv:1503.02531), section 2.

    The Kullback-Leibler divergence from the student's to the teacher's softened distribution.

    Args:
        student_logits: (batch, classes) or (batch, tokens, classes), any float; computed in float32.
        teacher_logits: the same shape, no gradient.
        temperature: > 0; the loss is scaled by temperature**2.
        mask: (batch,) or (batch, tokens), 0 at positions that do not count; None: all count.

    Returns:
        Scalar in nats, the mean over the counted positions; 0 if none counts.

    Raises:
        CompressError: the shapes differ.
    """
    if student_logits.shape != teacher_logits.shape:
        raise CompressError(
            f"the student's outputs have the shape {tuple(student_logits.shape)}, "
            f"the teacher's {tuple(teacher_logits.shape)}",
            fix="student and teacher need the same labels",
        )
    counted = slice(None) if mask is None else mask.bool()
    student, teacher = (
        functional.log_softmax(logits[counted].float().reshape(-1, logits.shape[-1]) / temperature, dim=-1)
        for logits in (student_logits, teacher_logits.detach())
    )  # (counted, classes)
    divergence = functional.kl_div(student, teacher, reduction="sum", log_target=True) / max(len(student), 1)
    return divergence * temperature**2
