"""The differences of a graph's outputs from those of the network that was trained with the graph's rounding."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from compress.errors import CompressError
from compress.graphs.feeds import Batch

EXACT, ROUNDED = 1e-3, 0.05
"""Tolerances for products of floats, and for products of rounded activations. A difference in the last bit now and then
gives a rounded activation another code, and each layer makes the difference larger: on a trained MiniLM-L6 half of the
rows differ by less than 0.004 and one by 0.025, while in float none differs by 1e-6."""


@dataclass(frozen=True)
class Differences:
    """The differences of a graph's outputs from the network's.

    Attributes:
        rows: number of rows compared.
        max_abs_difference: the largest difference of two logits.
        median_abs_difference: the median over the rows of each row's largest difference. A code that flips changes a
            few rows, a wrong scale changes all.
        scale: the largest absolute logit of the network.
    """

    rows: int
    max_abs_difference: float
    median_abs_difference: float
    scale: float

    def facts(self) -> dict[str, Any]:
        """The differences as facts for the manifest."""
        return asdict(self)

    def check(self, tolerance: float, *, cut_off: bool = False) -> None:
        """Fail if half of the rows differ by more than a share of the largest logit (at least 1).

        Args:
            tolerance: the share.
            cut_off: whether this processor may cut off sums of the graph's products.

        Raises:
            CompressError: the rows differ by more, or a logit is not a number.
        """
        allowed = tolerance * max(self.scale, 1.0)
        if not self.median_abs_difference <= allowed:
            instead = "keep the layers that it is about in float (keep_float), take another scheme, or raise tolerance"
            raise CompressError(
                f"the graph differs from the network as it was trained: by {self.median_abs_difference:.2g} or more on "
                f"half of {self.rows} rows; allowed is {allowed:.2g}",
                fix=f"take reduce_range: true, since this processor cuts sums of 8 bits off; or {instead}"
                if cut_off
                else instead,
            )


def differences(
    network_logits: Sequence[np.ndarray[Any, Any]], graph_logits: Sequence[np.ndarray[Any, Any]]
) -> Differences:
    """Compare the logits of each row, (1, classes), of the network and of the graph."""
    of_rows = [float(np.abs(ours - logits).max()) for ours, logits in zip(graph_logits, network_logits, strict=True)]
    scale = max(float(np.abs(logits).max()) for logits in network_logits)
    return Differences(len(of_rows), float(np.max(of_rows)), float(np.median(of_rows)), scale)


def logits_of(network: Any, rows: Sequence[Batch]) -> list[np.ndarray[Any, Any]]:
    """The logits of each row, (1, classes), of a network on the CPU."""
    import torch

    from compress.models.inputs import input_names

    accepted = input_names(network)
    with torch.no_grad():
        return [
            network(**{name: torch.from_numpy(row[name]) for name in row if name in accepted}).logits.numpy()
            for row in rows
        ]
