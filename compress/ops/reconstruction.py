"""Scale factors with which the remaining channels of a layer reproduce the whole layer's outputs."""

import torch

DAMPING = 0.1
"""Strength of the factors' pull towards 1, as a share of the mean square of a group's part of the output."""


class Reconstruction:
    """Least squares for a factor for each group of a Linear's input channels, collected batch by batch.

    The mask tuning of Kwon et al. 2022 (arXiv:2204.09656), section 4.3, with a ridge around 1 in the place of damped
    LSMR. The outputs of single groups are never formed: their products are those of the channels and of the weights.

    Args:
        weight: (outputs, channels), the weight of the Linear that reads the channels.
        group: neighbouring channels with one factor, for example a head's size.
    """

    def __init__(self, weight: torch.Tensor, group: int) -> None:
        self.weight, self.group = weight.detach(), group
        channels = weight.shape[1]
        self._products = torch.zeros(channels, channels, dtype=torch.float64, device=weight.device)
        self._cross = torch.zeros(channels, dtype=torch.float64, device=weight.device)
        self._square = 0.0

    def collect(self, hidden: torch.Tensor, target: torch.Tensor) -> None:
        """Add tokens to the equations.

        Args:
            hidden: (tokens, channels), the Linear's inputs.
            target: (tokens, outputs), the wanted outputs without the bias.
        """
        hidden, target = hidden.detach(), target.detach()
        self._products += (hidden.T @ hidden).double()
        self._cross += (hidden * (target @ self.weight)).sum(dim=0).double()
        self._square += float(target.double().square().sum())

    def scales(self, damping: float = DAMPING) -> torch.Tensor:
        """The factors of least squared error.

        Returns:
            (groups,)
        """
        normal, cross = self._normal()
        pull = damping * normal.diagonal().mean()
        ridge = normal + pull * torch.eye(len(normal), dtype=normal.dtype, device=normal.device)
        solved: torch.Tensor = torch.linalg.lstsq(ridge, (cross + pull)[:, None]).solution
        return solved[:, 0]

    def error(self, scales: torch.Tensor) -> float:
        """The squared error with factors (groups,), as a share of the target's square."""
        normal, cross = self._normal()
        squared_error = self._square + float(scales @ normal @ scales - 2 * scales @ cross)
        return max(squared_error, 0.0) / max(self._square, torch.finfo(torch.float64).tiny)

    def _normal(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The normal equations of the groups: (groups, groups) and (groups,)."""
        groups = len(self._cross) // self.group
        products = self._products * (self.weight.T @ self.weight).double()
        folded = products.reshape(groups, self.group, groups, self.group).sum(dim=(1, 3))
        return folded, self._cross.reshape(groups, self.group).sum(dim=1)
