import itertools
import math

import pytest
import torch

from compress.ops.budget import Ladder, cubic_shares, ladders, least_loss
from compress.ops.importance import LayerScores, PartScores


def _tables(seed: int) -> list[Ladder]:
    """Latencies in microseconds of a made-up encoder: not linear in the sizes, nor always falling."""
    random = torch.Generator().manual_seed(seed)
    found = []
    for sizes in ((4, 3, 2, 1), (64, 48, 32, 16, 8), (4, 2, 1), (64, 8), (3, 1)):
        costs = [int(100 * size**0.8 + 60 * torch.rand(1, generator=random).item()) for size in sizes]
        steps = torch.rand(len(sizes) - 1, generator=random).cumsum(dim=0).tolist()
        found.append(Ladder(sizes, tuple(costs), (0.0, *steps)))
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.35, 0.5, 0.7, 0.95, 1.0, 2.0])
def test_the_choice_is_that_of_trying_everything(seed: int, share: float) -> None:
    parts = _tables(seed)
    budget = int(share * sum(part.costs[0] for part in parts))
    possible = [
        choice
        for choice in itertools.product(*(range(len(part.sizes)) for part in parts))
        if sum(part.costs[index] for part, index in zip(parts, choice, strict=True)) <= budget
    ]
    found = least_loss(parts, budget)
    if not possible:
        assert found is None
        return

    def loss(choice: tuple[int, ...]) -> float:
        return sum(part.losses[index] for part, index in zip(parts, choice, strict=True))

    assert found is not None
    chosen = tuple(part.sizes.index(size) for part, size in zip(parts, found, strict=True))
    assert chosen in possible
    assert loss(chosen) == pytest.approx(min(map(loss, possible)))


def test_what_cannot_be_reached_is_none_and_the_floor_itself_can() -> None:
    parts = _tables(0)
    floor = sum(min(part.costs) for part in parts)
    assert least_loss(parts, floor - 1) is None
    assert least_loss(parts, floor) == [part.sizes[part.costs.index(min(part.costs))] for part in parts]


def test_a_ladder_sums_the_lowest_scores_and_leaves_out_sizes_that_are_gone() -> None:
    layer = LayerScores(PartScores(torch.tensor([3.0, 1.0, 2.0])), PartScores(torch.tensor([0.5, 4.0, 0.25, 1.0])))
    heads, neurons = ladders([layer], {1: 10, 2: 20, 3: 30, 4: 40}, {2: 7, 4: 14, 6: 21})
    assert heads == Ladder((3, 2, 1), (30, 20, 10), (0.0, 1.0, 3.0))
    assert neurons == Ladder((4, 2), (14, 7), (0.0, 0.75))


def test_the_cubic_schedule_is_that_of_the_paper() -> None:
    final, start, end = 0.8, 0.0, 5
    by_formula = [final + (start - final) * (1 - step / end) ** 3 for step in range(1, 6)]
    assert [final * share for share in cubic_shares(5)] == pytest.approx(by_formula)
    assert cubic_shares(4) == pytest.approx([37 / 64, 7 / 8, 63 / 64, 1])
    assert cubic_shares(1) == [1]
    assert math.isclose(cubic_shares(100)[-1], 1)
