"""The sizes of layers that together stay within a budget of cost and lose the least."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compress.ops.importance import LayerScores, PartScores


@dataclass(frozen=True)
class Ladder:
    """The sizes that one part of a layer may have.

    Attributes:
        sizes: numbers of groups that are kept.
        costs: cost of each size, in whole units that are the same for all ladders.
        losses: loss of each size: the sum of the scores of the removed groups.
    """

    sizes: tuple[int, ...]
    costs: tuple[int, ...]
    losses: tuple[float, ...]


def ladders(
    scores: Sequence[LayerScores], head_costs: Mapping[int, int], neuron_costs: Mapping[int, int]
) -> list[Ladder]:
    """The ladders of all layers: for each layer that of its heads, then that of its neurons.

    Args:
        head_costs, neuron_costs: size -> cost; sizes above a layer's own are ignored.
    """
    return [
        _ladder(part, costs)
        for layer in scores
        for part, costs in ((layer.heads, head_costs), (layer.neurons, neuron_costs))
    ]


def _ladder(part: PartScores, costs: Mapping[int, int]) -> Ladder:
    ascending = np.sort(part.scores.double().numpy())
    lost = np.concatenate([[0.0], np.cumsum(ascending)])  # (groups + 1,) loss by the number of removed groups
    sizes = [size for size in sorted(costs, reverse=True) if size <= len(ascending)]
    losses = tuple(float(lost[len(ascending) - size]) for size in sizes)
    return Ladder(tuple(sizes), tuple(costs[size] for size in sizes), losses)


def least_loss(parts: Sequence[Ladder], budget: int) -> list[int] | None:
    """The size of each part with which the costs sum to at most `budget`, and the losses to the least possible.

    The result is exact, by dynamic programming over the parts (a knapsack with one choice for each), as ZipLM does with
    latencies: Kurtic et al. 2023 (arXiv:2302.04089), section 3.2.

    Returns:
        Sizes in the order of `parts`, or None if even the smallest sizes cost too much.
    """
    floors = [min(part.costs) for part in parts]
    unit = math.gcd(*(cost - floor for part, floor in zip(parts, floors, strict=True) for cost in part.costs)) or 1
    spare = (budget - sum(floors)) // unit
    if spare < 0:
        return None
    spare = min(spare, sum((max(part.costs) - floor) // unit for part, floor in zip(parts, floors, strict=True)))
    best = np.zeros(spare + 1)  # least loss of the parts so far, by their allowed cost above the floors
    choices = []
    for part, floor in zip(parts, floors, strict=True):
        reached = np.full(spare + 1, np.inf)
        choice = np.zeros(spare + 1, dtype=np.int32)
        for index, (cost, loss) in enumerate(zip(part.costs, part.losses, strict=True)):
            extra = (cost - floor) // unit
            if extra <= spare:
                candidate = best[: spare + 1 - extra] + loss
                better = candidate < reached[extra:]
                reached[extra:][better] = candidate[better]
                choice[extra:][better] = index
        best = reached
        choices.append(choice)
    sizes = []
    unspent = spare
    for part, floor, choice in reversed(list(zip(parts, floors, choices, strict=True))):
        index = int(choice[unspent])
        sizes.append(part.sizes[index])
        unspent -= (part.costs[index] - floor) // unit
    return sizes[::-1]


def sizes_of_cost(
    scores: Sequence[LayerScores],
    head_size: int,
    multiple: int,
    heads: Sequence[int],
    neurons: Sequence[int],
) -> tuple[list[int], list[int]]:
    """The sizes of least loss over all layers that cost no more multiply-adds than given sizes.

    Args:
        head_size: channels of a head; a channel is in four matrices, a neuron in two.
        multiple: numbers of neurons are a multiple of this, or the layer's own.
        heads, neurons: the sizes of each layer whose cost is the budget.

    Returns:
        (heads, neurons) by layer.
    """
    head_costs = {
        count: 4 * head_size * count for count in range(1, max(len(layer.heads.scores) for layer in scores) + 1)
    }
    own = [len(layer.neurons.scores) for layer in scores]
    neuron_costs = {count: 2 * count for count in (*range(multiple, max(own) + 1, multiple), *own)}
    allowed = sum(4 * head_size * count for count in heads) + sum(2 * count for count in neurons)
    sizes = least_loss(ladders(scores, head_costs, neuron_costs), allowed)
    assert sizes is not None  # the given sizes are among those that are tried
    return sizes[::2], sizes[1::2]


def cubic_shares(cuts: int) -> list[float]:
    """Share of the final removal that is reached after each of `cuts` cuts: large steps first, small ones at the end.

    Zhu & Gupta 2017 (arXiv:1710.01878), eq. 1, from sparsity 0: 1 - (1 - t)^3 at t = 1/cuts, ..., 1.
    """
    return [1 - (1 - cut / cuts) ** 3 for cut in range(1, cuts + 1)]
