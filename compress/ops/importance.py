"""The importance of groups of channels: scores for structured pruning, and the choice of groups to remove."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


class ChannelGate:
    """Gates of 1 on a Linear's input channels, which collect the loss's gradient with respect to each gate.

    Each row has its own gates, so that effects of opposite sign in different rows do not cancel.

    Args:
        linear: the layer that reads (batch, ..., channels).
        group: neighbouring channels that are removed together, for example a head's size.
    """

    def __init__(self, linear: torch.nn.Linear, group: int) -> None:
        self._start(linear.in_features, group)
        self._hooks = [linear.register_forward_pre_hook(lambda _, inputs: self._scaled(*inputs))]

    def _start(self, channels: int, group: int) -> None:
        self.group = group
        self._gates: torch.Tensor | None = None
        self._gradients = [torch.zeros(0, channels // group)]

    def _scaled(self, hidden: torch.Tensor) -> torch.Tensor:
        batch, *between, channels = hidden.shape  # (batch, ..., channels)
        if self._gates is None or self._gates.shape[0] != batch:
            self._gates = torch.ones(batch, channels // self.group, device=hidden.device, requires_grad=True)
        wide = self._gates.repeat_interleave(self.group, dim=1)  # (batch, channels)
        return hidden * wide.reshape(batch, *[1] * len(between), channels)

    def collect(self) -> None:
        """Store the gradients of the last backward pass, row by row.

        The loss must be a sum over rows, so that a row's gradient does not depend on the batch's size.
        """
        if self._gates is not None and self._gates.grad is not None:
            self._gradients.append(self._gates.grad.float().cpu())
        self._gates = None

    def close(self) -> torch.Tensor:
        """Remove the gates, and return the stored gradients.

        Returns:
            (rows, groups) gradient of each row's loss, in nats.
        """
        for hook in self._hooks:
            hook.remove()
        return torch.cat(self._gradients)


class OutputGate(ChannelGate):
    """Gates of 1 on the output channels of modules; in a row, all modules share one gate for each channel.

    Args:
        modules: modules that give (batch, ..., channels).
    """

    def __init__(self, modules: Sequence[torch.nn.Module], channels: int) -> None:
        self._start(channels, 1)
        self._hooks = [module.register_forward_hook(lambda _, __, output: self._scaled(output)) for module in modules]


class Norms:
    """A collector of the norm of each channel that a Linear reads, over tokens without padding.

    Args:
        linear: the layer that reads (batch, tokens, channels).
        group: neighbouring channels that are removed together.
    """

    def __init__(self, linear: torch.nn.Linear, group: int) -> None:
        self.linear, self.group = linear, group
        self._squares = torch.zeros(linear.in_features, dtype=torch.float64)
        self._tokens = 0
        self._hidden: list[torch.Tensor] = []
        self._hook = linear.register_forward_pre_hook(self._see)

    def _see(self, _: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        self._hidden += inputs

    def collect(self, mask: torch.Tensor) -> None:
        """Add the inputs of the last forward pass, in which the Linear may have run more than once.

        Args:
            mask: (batch, tokens), 0 at padding.
        """
        for hidden in self._hidden:
            real = hidden.detach()[mask.bool()]  # (tokens, channels)
            self._squares += real.double().square().sum(dim=0).cpu()
            self._tokens += len(real)
        self._hidden.clear()

    def close(self) -> torch.Tensor:
        """Stop collecting, and return scores: a channel's norm times the norm of its outgoing weights, as in Wanda.

        |weight| x |input| of Sun et al. 2024 (arXiv:2306.11695), eq. 1, taken over all weights that read a channel.

        Returns:
            (groups,) root mean square over tokens.
        """
        self._hook.remove()
        outgoing = self.linear.weight.detach().double().cpu().square().sum(dim=0)  # (channels,)
        squares = self._squares / max(self._tokens, 1) * outgoing
        return squares.reshape(-1, self.group).sum(dim=1).sqrt().float()


def taylor(gradients: torch.Tensor) -> torch.Tensor:
    """First-order estimate of the change of a row's loss if a group is removed, without the sign.

    Molchanov et al. 2017 (arXiv:1611.06440), eq. 7, for neurons; Michel et al. 2019 (arXiv:1905.10650), eq. 2, for
    heads.

    Args:
        gradients: (rows, groups) with respect to the gates.

    Returns:
        (groups,) in nats a row.
    """
    return gradients.double().abs().mean(dim=0).float()


def fisher(gradients: torch.Tensor) -> torch.Tensor:
    """Second-order estimate of the loss's change if a group is removed, by the diagonal of the empirical Fisher matrix.

    Kwon et al. 2022 (arXiv:2204.09656), eq. 8, with the one half of its eq. 3.

    Args:
        gradients: (rows, groups) with respect to the gates.

    Returns:
        (groups,) in nats a row.
    """
    return gradients.double().square().mean(dim=0).float() / 2


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
    return sorted(most_important_first(scores)[keep:].tolist())


def most_important_first(scores: torch.Tensor) -> torch.Tensor:
    """Indices of the groups from the highest score to the lowest; ties keep their order.

    Args:
        scores: (groups,)
    """
    return torch.sort(scores.cpu(), descending=True, stable=True).indices


def rearrange(gradients: torch.Tensor, removed: Sequence[int]) -> list[int]:
    """The groups to remove after exchanges between removed and kept groups that lower the loss by the Fisher block.

    The diagonal does not see that two groups may matter only together, or compensate each other. Kwon et al. 2022
    (arXiv:2204.09656), section 4.2: for each removed group, the highest score first, the best exchange is tried once.

    Args:
        gradients: (rows, groups) with respect to the gates.
        removed: groups that the diagonal's scores remove.

    Returns:
        The same number of groups, in ascending order; |gradients summed over them|^2 is no larger than before.
    """
    gradients = gradients.double()
    squares = gradients.square().sum(dim=0)  # (groups,)
    is_removed = torch.zeros(gradients.shape[1], dtype=torch.bool)
    is_removed[list(removed)] = True
    change = gradients[:, is_removed].sum(dim=1)  # (rows,) first-order change of each row's loss
    for group in sorted(removed, key=lambda index: -float(squares[index])):
        without = change - gradients[:, group]
        loss = without.square().sum() + 2 * without @ gradients + squares  # (groups,) with each in its place
        loss[is_removed] = torch.inf
        other = int(loss.argmin())
        if loss[other] < change.square().sum():
            is_removed[group], is_removed[other] = False, True
            change = without + gradients[:, other]
    return is_removed.nonzero().flatten().tolist()


@dataclass(frozen=True)
class PartScores:
    """The scores of a layer's heads, or of its neurons.

    Attributes:
        scores: (groups,), higher for more important groups.
        gradients: (rows, groups), if the Fisher block is to decide on the groups in the end.
    """

    scores: torch.Tensor
    gradients: torch.Tensor | None = None

    def removed(self, keep: int) -> list[int]:
        """Groups to remove so that `keep` stay, in ascending order."""
        lowest = least_important(self.scores, keep)
        return lowest if self.gradients is None else rearrange(self.gradients, lowest)


@dataclass(frozen=True)
class LayerScores:
    """The scores of a layer's heads and neurons."""

    heads: PartScores
    neurons: PartScores
