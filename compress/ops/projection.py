"""Projections to fewer channels that keep most of the states."""

import torch

NORM_EPSILON = 1e-12


def principal_directions(states: torch.Tensor, width: int) -> tuple[torch.Tensor, float]:
    """The directions in which states vary most about zero: the best projection of that width in least squares.

    Args:
        states: (rows, channels).
        width: number of directions, at most `channels`.

    Returns:
        (channels, width) with orthonormal columns, and the share of the states' squares that they keep.
    """
    second_moments = states.T.double() @ states.double()  # (channels, channels)
    values, vectors = torch.linalg.eigh(second_moments)  # ascending
    kept_share = values[-width:].sum() / values.sum()
    return vectors.flip(1)[:, :width].to(states.dtype), float(kept_share)


def fit_norm(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Scale and bias with which a LayerNorm of `before` is nearest to `after`, in least squares by channel.

    Args:
        before: (rows, channels), the LayerNorm's inputs.
        after: (rows, channels), the wanted outputs.

    Returns:
        (2, channels): scale, bias.
    """
    normal = torch.nn.functional.layer_norm(before, before.shape[-1:], eps=NORM_EPSILON)  # (rows, channels)
    centred = normal - normal.mean(dim=0)
    scale = (centred * after).sum(dim=0) / centred.square().sum(dim=0).clamp(min=NORM_EPSILON)
    return torch.stack([scale, after.mean(dim=0) - scale * normal.mean(dim=0)])
