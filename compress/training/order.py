"""The order of rows in a training: rows of similar length together, another order each epoch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

MEGA_BATCHES = 50
"""Number of batches within which rows are sorted by length; fewer for small data, so that there are at least four such
groups."""


class ByLength(torch.utils.data.Sampler[int]):
    """Row numbers, shuffled and then sorted by length within groups of some batches.

    The order depends on the seed and the epoch alone. So a run that continues in the middle of an epoch sees the rest
    of its rows, whatever else has drawn random numbers.

    Args:
        lengths: number of tokens of each row.
        batch: number of rows of one step.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = np.array(lengths), batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        shuffled = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.lengths))
        group = self.batch * max(1, min(len(self.lengths) // (4 * self.batch), MEGA_BATCHES))
        for start in range(0, len(shuffled), group):
            rows = shuffled[start : start + group]
            longest_first: Any = rows[np.argsort(-self.lengths[rows], kind="stable")]
            yield from longest_first.tolist()
