"""The combined answer of several teachers."""

import math

import torch


def averaged_logits(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Logits whose softened distribution is the arithmetic mean of the teachers'.

    Hinton et al. 2015 (arXiv:1503.02531), section 5.3, average an ensemble's distributions by the arithmetic or the
    geometric mean. With the arithmetic mean a class stays possible if a single teacher finds it possible.

    Args:
        logits: (batch, teachers, classes) or (batch, teachers, tokens, classes).
        temperature: > 0; softens the distributions.

    Returns:
        (batch, classes) or (batch, tokens, classes) of float32; with one teacher its own logits plus a constant.
    """
    softened = torch.log_softmax(logits.float() / temperature, dim=-1)
    return temperature * (torch.logsumexp(softened, dim=1) - math.log(logits.shape[1]))
