"""The Pareto front: points that no other point beats."""

from collections.abc import Sequence

Costs = Sequence[float]
"""A point's figures; less of each is better."""


def dominates(one: Costs, other: Costs) -> bool:
    """Whether a point has at most as much as another of every cost, and less of one."""
    return all(mine <= its for mine, its in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def front(points: Sequence[Costs]) -> list[int]:
    """The numbers of the points that no other dominates, in their order; points that are equal stay together."""
    return [place for place, point in enumerate(points) if not any(dominates(other, point) for other in points)]
