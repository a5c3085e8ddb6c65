"""What several teachers say together."""

import math

import torch


def averaged_logits(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Logits whose softened distribution is the arithmetic mean of the teachers'.

    Hinton et al. 2015 (arXiv:1503.02531), section 5.3, average an ensemble's distributions so or geometrically; the
    arithmetic mean leaves a class possible that one teacher alone finds possible.

    Args:
        logits: (batch, teachers, classes) or (batch, teachers, tokens, classes).
        temperature: > 0, at which the distributions are softened.

    Returns:
        (batch, classes) or (batch, tokens, classes) of float32; with one teacher its own logits, but for a constant.
    """
    softened = torch.log_softmax(logits.float() / temperature, dim=-1)
    return temperature * (torch.logsumexp(softened, dim=1) - math.log(logits.shape[1]))
