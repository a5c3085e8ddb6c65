"""The front of a search: the models that no other beats in quality, time and size together."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """The figures of a candidate.

    Attributes:
        score: its score on searching rows, between 0 and 1.
        latency_ms: a call at the target's length.
        end_to_end_ms: from text to answer, tokenizer included, for texts of their own lengths.
        size_bytes: all files that ship.
    """

    name: str
    family: str
    score: float
    latency_ms: float
    end_to_end_ms: float
    size_bytes: int


def front(standings: Sequence[Standing]) -> list[Standing]:
    """Those that no other beats, in their order."""
    return [one for one in standings if not any(beats(other, one) for other in standings)]


def beats(one: Standing, other: Standing) -> bool:
    """Whether one is as good in quality, time and size, and better in one of them."""
    mine, its = ((-standing.score, standing.end_to_end_ms, standing.size_bytes) for standing in (one, other))
    return all(figure <= its[place] for place, figure in enumerate(mine)) and mine != its
