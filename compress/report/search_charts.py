"""The pictures of a search: quality, time from text to answer and size, each against each, with the Pareto front."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from compress.answers import metric_title
from compress.ops import pareto
from compress.report import words
from compress.report.figure import (
    Chart,
    Label,
    Mark,
    Plane,
    Point,
    Scale,
    amounts,
    ends,
    linear,
    number,
    plain,
    summarize,
)
from compress.report.labels import NARROW, WIDE, Cross, labels, unnamed
from compress.report.model import Report
from compress.report.search import LookedAt, SearchReport
from compress.report.search_words import status

ON_TEST = "on test"
"""The label of the winner's point for test rows."""
Rank = Literal["winner", "test", "baseline", "finalist", "front", "beaten"]
RANKS: tuple[Rank, ...] = ("winner", "test", "baseline", "finalist", "front", "beaten")
"""What a point stands for; the first ones get their labels first, the last one gets none."""
SIGNS: dict[Rank, tuple[Literal["dot", "ring", "spot"], str]] = {
    "winner": ("dot", "accent"),
    "test": ("ring", "accent"),
    "baseline": ("dot", "baseline"),
    "finalist": ("ring", "middle"),
    "front": ("dot", "middle"),
    "beaten": ("spot", "baseline"),
}
"""The sign and the colour of each."""
LEGEND: dict[Rank, str] = {
    "winner": "the winner",
    "test": "the winner on test rows",
    "baseline": "the baseline",
    "finalist": "finalists",
    "front": "others on the front of all three",
    "beaten": "beaten, or out early",
}


@dataclass(frozen=True)
class Axis:
    """One of the three figures that candidates compete by.

    Attributes:
        of: the figure of a candidate, in the scale's unit.
        scale: makes the scale that holds all figures.
        sign: -1 if more is better, else 1.
    """

    name: str
    of: Callable[[LookedAt], float]
    scale: Callable[[Sequence[float]], Scale]
    sign: int = 1


@dataclass(frozen=True)
class Spot:
    """A point before its place is known.

    Attributes:
        reach: the ends of its interval of quality.
    """

    candidate: LookedAt
    rank: Rank
    reach: tuple[float, float] | None = None


def search_charts(report: Report) -> list[Chart]:
    """The three pictures; none if nothing was scored."""
    search = report.search
    if search is None or not search.scored:
        return []
    metric = metric_title(report.test.metric)
    quality = Axis(metric, _quality, lambda shares: linear(f"{metric}, %", shares, pad=0.13), -1)
    latency = Axis("latency", _latency, lambda values: amounts("time from text to answer, ms", values, 0.15))
    size = Axis("size", _size, lambda values: amounts("size, MB", values, 0.15))
    return [_chart(x, y, search) for x, y in ((latency, quality), (size, quality), (size, latency))]


def _quality(candidate: LookedAt) -> float:
    return 100 * (candidate.score or 0.0)


def _latency(candidate: LookedAt) -> float:
    assert candidate.end_to_end_ms is not None
    return candidate.end_to_end_ms


def _size(candidate: LookedAt) -> float:
    assert candidate.size_bytes is not None
    return candidate.size_bytes / 1e6


def _chart(x: Axis, y: Axis, search: SearchReport) -> Chart:
    """The picture of one figure against another."""
    spots = _spots(search, with_test=y.sign < 0)
    across = x.scale([x.of(spot.candidate) for spot in spots])
    up = y.scale([value for spot in spots for value in (y.of(spot.candidate), *(spot.reach or ()))])
    crosses = [_cross(across.at(x.of(spot.candidate)), y.of(spot.candidate), spot.reach, up) for spot in spots]
    order = [place for rank in RANKS[:-1] for place, spot in enumerate(spots) if spot.rank == rank]
    names = [[ON_TEST if spot.rank == "test" else plain(spot.candidate.name)] for spot in spots]
    wide, narrow = (labels(crosses, names, size, order) for size in (WIDE, NARROW))
    points = [
        Point(
            **cross._asdict(),
            tone=SIGNS[spot.rank][1],
            hint=_hint(spot),
            wide=wide[place],
            narrow=narrow[place],
            kind=SIGNS[spot.rank][0],
        )
        for place, (spot, cross) in enumerate(zip(spots, crosses, strict=True))
    ]
    shown = {spot.rank for spot in spots}
    legend = [(Mark(SIGNS[rank][0], 50, tone=SIGNS[rank][1]), LEGEND[rank]) for rank in RANKS if rank in shown]
    title = f"{y.name} against {x.name}"
    return Chart(
        f"{'quality' if y.sign < 0 else y.name}-{x.name}",
        words.sentence(title),
        summarize((spot.candidate.name, _figures(spot.candidate)) for spot in spots if spot.rank in RANKS[:4]),
        _caption(search, is_of_quality=y.sign < 0, is_tested="test" in shown),
        Plane(across, up, points, _staircase(spots, x, y, across, up), legend),
        is_wide=True,
        wide_caption=_unnamed(spots, wide),
        narrow_caption=_unnamed(spots, narrow),
    )


def _unnamed(spots: Sequence[Spot], placed: Sequence[Label | None]) -> str:
    """A sentence with the names of finalists and others that have no room in the picture."""
    pairs = [(spot, label) for spot, label in zip(spots, placed, strict=True) if spot.rank not in {"test", "beaten"}]
    return unnamed([spot.candidate.name for spot, _ in pairs], [label for _, label in pairs])


def _spots(search: SearchReport, *, with_test: bool) -> list[Spot]:
    """The points of all candidates that were scored, the most important ones last, so that they lie on top."""
    spots = [Spot(candidate, _rank(candidate, search)) for candidate in search.scored]
    winner = next((spot.candidate for spot in spots if spot.rank == "winner"), None)
    if with_test and winner is not None and search.test_score is not None:
        low, high = ends(search.test_score)
        on_test = winner.model_copy(update={"score": search.test_score.value})
        spots.append(Spot(on_test, "test", (100 * low, 100 * high)))
    return sorted(spots, key=lambda spot: -RANKS.index(spot.rank))


def _rank(candidate: LookedAt, search: SearchReport) -> Rank:
    if candidate.name == search.selection.winner:
        return "winner"
    if candidate.name == search.baseline:
        return "baseline"
    return "finalist" if candidate.is_finalist else "front" if candidate.on_front else "beaten"


def _cross(x: float, value: float, reach: tuple[float, float] | None, up: Scale) -> Cross:
    low, high = reach or (value, value)
    return Cross(x, 100 - up.at(value), (x, x), (100 - up.at(high), 100 - up.at(low)))


def _staircase(
    spots: Sequence[Spot], x: Axis, y: Axis, across: Scale, up: Scale
) -> list[tuple[float, float, float, float]]:
    """The lines of the front of two figures: horizontal to the next point's, then on to its other figure."""
    shown = [spot.candidate for spot in spots if spot.rank != "test" and not spot.candidate.out]
    costs = [(x.sign * x.of(candidate), y.sign * y.of(candidate)) for candidate in shown]
    on_front = sorted({costs[place] for place in pareto.front(costs)})
    corners = [(across.at(x.sign * left), 100 - up.at(y.sign * cost)) for left, cost in on_front]
    lines = []
    for (left, start), (right, end) in pairwise(corners):
        lines += [(left, start, right, start), (right, start, right, end)]
    return lines


def _figures(candidate: LookedAt) -> str:
    return f"{_quality(candidate):.2f}%, {number(_latency(candidate))} ms, {number(_size(candidate))} MB"


def _hint(spot: Spot) -> str:
    candidate = spot.candidate
    how = "on test rows" if spot.rank == "test" else status(candidate)
    return "\n".join(line for line in (candidate.name, candidate.what, _figures(candidate), how) if line)


def _caption(search: SearchReport, *, is_of_quality: bool, is_tested: bool) -> str:
    """How to read a picture."""
    where = "Up and to the left is better." if is_of_quality else "Down and to the left is better."
    rows = f" Quality is that on {search.searching_rows:,} searching rows." if is_of_quality else ""
    test = (
        " The winner's ring is its quality on test rows, which are others, with its 95% interval." if is_tested else ""
    )
    return f"{where}{rows}{test} Dotted: the Pareto front of these two, which no other candidate beats in both."
