"""How much a group of channels matters: scores for structured pruning."""

from collections.abc import Sequence

import torch


class Gate:
    """Multiplies a Linear's input by ones, to collect the loss's gradient with respect to each channel's gate.

    For a gate g on channel c, dL/dg at g = 1 is the first-order Taylor estimate of what removing the channel
    does to the loss (Molchanov et al. 2017, arXiv:1611.06440, eq. 7; Michel et al. 2019, arXiv:1905.10650, eq. 2).
    There is one gate a row, so that effects of opposite sign in different rows do not cancel.

    Args:
        linear: reads (batch, ..., channels).
        group: neighbouring channels that are removed together, for example a head's size.
    """

    def __init__(self, linear: torch.nn.Linear, group: int) -> None:
        self.group = group
        self.score = torch.zeros(linear.in_features // group, dtype=torch.float64)
        self.rows = 0
        self._gates: torch.Tensor | None = None
        self._hook = linear.register_forward_pre_hook(self._apply)

    def _apply(self, _: torch.nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        (hidden,) = inputs  # (batch, ..., channels)
        groups = hidden.shape[-1] // self.group
        self._gates = torch.ones(hidden.shape[0], groups, device=hidden.device, requires_grad=True)
        wide = self._gates.repeat_interleave(self.group, dim=1)  # (batch, channels)
        return hidden * wide.reshape(hidden.shape[0], *[1] * (hidden.dim() - 2), hidden.shape[-1])

    def collect(self) -> None:
        """Add the absolute gradients of the last backward pass, row by row.

        The loss must be a sum over rows, so that a row's gradient does not depend on the batch's size.
        """
        if self._gates is None or self._gates.grad is None:
            return
        self.score += self._gates.grad.abs().sum(dim=0).double().cpu()
        self.rows += self._gates.shape[0]
        self._gates = None

    def close(self) -> torch.Tensor:
        """Remove the gate.

        Returns:
            (groups,) mean absolute gradient a row, in nats.
        """
        self._hook.remove()
        return (self.score / max(self.rows, 1)).float()


def magnitude(matrices: Sequence[torch.Tensor], group: int) -> torch.Tensor:
    """L2 norm of each group of channels over all matrices that hold the channels in their first axis.

    Args:
        matrices: each (channels, ...).
        group: neighbouring channels that are removed together.

    Returns:
        (groups,)
    """
    squares = sum(matrix.detach().float().flatten(1).square().sum(dim=1) for matrix in matrices)
    assert isinstance(squares, torch.Tensor)
    return squares.reshape(-1, group).sum(dim=1).sqrt()


def least_important(scores: torch.Tensor, keep: int) -> list[int]:
    """Indices of all but the `keep` highest scores, in ascending order; ties keep the lower index.

    Args:
        scores: (groups,)
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    return sorted(order[keep:].tolist())
