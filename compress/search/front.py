"""The figures that candidates compete by, and their Pareto front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from compress.ops import pareto
from compress.report.search import LookedAt

Axis = Literal["score", "latency_ms", "end_to_end_ms", "size_bytes"]
AXES: tuple[Axis, ...] = ("score", "end_to_end_ms", "size_bytes")
"""What candidates are compared by: more of the score is better, and less of all else."""


@dataclass(frozen=True)
class Standing:
    """A candidate's figures.

    Attributes:
        score: the task's metric on searching rows.
        latency_ms: median of calls at the target's sequence length.
        end_to_end_ms: median time from text to answer, tokenizer included, for texts of their own lengths.
        size_bytes: all files that ship.
    """

    name: str
    family: str
    score: float
    latency_ms: float
    end_to_end_ms: float
    size_bytes: int

    def costs(self, axes: Sequence[Axis] = AXES) -> tuple[float, ...]:
        """The figures in the order of `axes`, with less of each being better."""
        return tuple(-self.score if axis == "score" else float(getattr(self, axis)) for axis in axes)


def dominated(one: Standing, other: Standing, axes: Sequence[Axis] = AXES) -> bool:
    """Whether `other` is at least as good as `one` in everything, and better in something."""
    return pareto.dominates(other.costs(axes), one.costs(axes))


def front(points: Sequence[Standing], axes: Sequence[Axis] = AXES) -> list[Standing]:
    """Those that no other beats in quality, time from text to answer and size, in their order."""
    return [points[place] for place in pareto.front([point.costs(axes) for point in points])]


def marked(candidates: Sequence[LookedAt], finalists: Sequence[str]) -> list[LookedAt]:
    """Candidates with their places: on the front or beaten by whom, and finalist or not.

    Those that went out early stand aside: they have a reason of their own, and beat nobody.

    Args:
        finalists: names of the finalists.
    """
    points = [_standing(one) for one in candidates if one.is_scored and not one.out]
    best = front(points)
    beaten: Mapping[str, str] = {
        point.name: next(other.name for other in best if dominated(point, other))
        for point in points
        if point not in best
    }
    names = {point.name for point in best}
    return [
        one.model_copy(
            update={
                "on_front": one.name in names,
                "beaten_by": beaten.get(one.name, ""),
                "is_finalist": one.name in finalists,
            }
        )
        for one in candidates
    ]


def _standing(candidate: LookedAt) -> Standing:
    assert candidate.score is not None
    assert candidate.latency_ms is not None
    assert candidate.end_to_end_ms is not None
    assert candidate.size_bytes is not None
    return Standing(
        candidate.name,
        candidate.family,
        candidate.score,
        candidate.latency_ms,
        candidate.end_to_end_ms,
        candidate.size_bytes,
    )
