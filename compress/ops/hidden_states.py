"""Losses against a teacher's hidden states through a linear projection, with fixed or learned matching of layers."""

from collections.abc import Sequence

import torch


def squared_error(projected: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean squared error of hidden states without padding: equation 8 of TinyBERT (arXiv:1909.10351).

    Args:
        projected: the student's states, projected to the teacher's width; (batch, tokens, width).
        teacher: (batch, tokens, width), no gradient.
        mask: (batch, tokens), 1 for a token and 0 for padding.

    Returns:
        Scalar, mean over tokens and channels.
    """
    errors = (projected.float() - teacher.detach().float()).square().mean(dim=-1)  # (batch, tokens)
    return (errors * mask).sum() / mask.sum()


def fixed_matching_loss(
    projected: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], mask: torch.Tensor
) -> torch.Tensor:
    """The loss of each of the student's layers against the teacher's layer at the same index.

    Args:
        projected, teacher: states of each layer, as for `squared_error`; the same number of both.
        mask: (batch, tokens).

    Returns:
        Scalar, mean over the layers.
    """
    pairs = zip(projected, teacher, strict=True)
    return torch.stack([squared_error(student, taught, mask) for student, taught in pairs]).mean()


def learned_matching_loss(
    projected: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], mask: torch.Tensor
) -> torch.Tensor:
    """The loss of each of the teacher's layers against the student's layer that is nearest to it now.

    Equations 2 and 3 of CoFi (Xia et al. 2022, arXiv:2204.00408): m(i) = argmin_j MSE(W h_j, t_i).

    Args:
        projected, teacher: states of each layer, as for `squared_error`; any numbers of layers.
        mask: (batch, tokens).

    Returns:
        Scalar, mean over the teacher's layers.
    """
    nearest = [torch.stack([squared_error(one, taught, mask) for one in projected]).min() for taught in teacher]
    return torch.stack(nearest).mean()
