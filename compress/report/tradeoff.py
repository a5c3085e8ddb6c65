"""The chart of quality against latency, with names beside the points that cover nothing."""

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from compress.answers import metric_title
from compress.report import words
from compress.report.figure import (
    Chart,
    Label,
    Plane,
    Point,
    Scale,
    latency_of,
    linear,
    milliseconds,
    number,
    percents,
    plain,
    summarize,
    tone,
)
from compress.report.model import Report, Row
from compress.report.shown import ShownRow

MIDDLE = (0.1, 0.9)
"""Quantiles of the rounds' medians at the ends of a point's horizontal bar."""
WIDE, NARROW = (620.0, 270.0), (270.0, 260.0)
"""Width and height of a plot in a small window and on a phone; labels that fit there fit larger ones."""
CHARACTER, LINE, MARK = 6.6, 15.0, 6.0
"""Width of a character, height of a line, and half the width of a mark."""
PLACES = ((1, -1), (1, 1), (-1, -1), (-1, 1), (1, 0), (-1, 0), (0, -1), (0, 1))
"""The places of a label beside its point, the best first: the direction to the right, and the direction down."""
Place = tuple[int, int]


def tradeoff(rows: Sequence[ShownRow], report: Report, latency_title: str = "median latency of one call, ms") -> Chart:
    """The chart of quality against latency, with the Pareto front.

    Args:
        rows: the measured rows of one target.
        latency_title: the name of the scale of latencies.
    """
    metric = metric_title(report.test.metric)
    spreads = [spread(row) for row in rows]
    x = milliseconds(latency_title, [end for both in spreads for end in both], margin=0.15)
    shares = [percents(row.quality) for row in rows]
    y = linear(f"{metric}, %", [value for three in shares for value in three], pad=0.13)
    wide, narrow = (_labels(rows, x, y, spreads, size) for size in (WIDE, NARROW))
    points = [
        Point(
            x=x.at(latency_of(row).p50),
            y=100 - y.at(value),
            level=(x.at(left), x.at(right)),
            upright=(100 - y.at(high), 100 - y.at(low)),
            tone=tone(row, rows[-1]),
            hint=_hint(row),
            wide=wide[place],
            narrow=narrow[place],
        )
        for place, (row, (value, low, high), (left, right)) in enumerate(zip(rows, shares, spreads, strict=True))
    ]
    return Chart(
        "tradeoff",
        f"{metric[:1].upper()}{metric[1:]} against latency",
        summarize((row.step, f"{words.percent(row.quality)} at {number(latency_of(row).p50)} ms") for row in rows),
        "Up and to the left is better. Upright bars: 95% interval of the quality. Level bars: the middle 80% of the "
        "rounds' medians. Dotted: the Pareto front, which no other step beats in both; it knows no intervals.",
        Plane(x, y, points, _staircase(rows, x, y)),
        is_wide=True,
        wide_caption=_unnamed(rows, wide),
        narrow_caption=_unnamed(rows, narrow),
    )


def _unnamed(rows: Sequence[Row], labels: Sequence[Label | None]) -> str:
    """A sentence with the names that have no room in the chart; empty if all have."""
    missing = [
        f"{row.step} ({number(latency_of(row).p50)} ms)"
        for row, label in zip(rows, labels, strict=True)
        if label is None
    ]
    return f"No room for the names of {'; '.join(missing)}." if missing else ""


def front(rows: Sequence[Row]) -> list[Row]:
    """The Pareto front: the rows that no other beats in both latency and quality, the fastest first."""
    front_rows: list[Row] = []
    for row in sorted(rows, key=lambda row: (latency_of(row).p50, -percents(row.quality)[0])):
        if not front_rows or percents(row.quality)[0] > percents(front_rows[-1].quality)[0]:
            front_rows.append(row)
    return front_rows


def spread(row: Row) -> tuple[float, float]:
    """The middle 80% of the rounds' medians, in milliseconds, widened to hold the median of all samples."""
    latency = latency_of(row)
    medians = [_quantile(turn, 0.5) for turn in latency.rounds if turn] or [latency.p50]
    low, high = (_quantile(medians, share) for share in MIDDLE)
    return min(low, latency.p50), max(high, latency.p50)


def _quantile(values: Sequence[float], share: float) -> float:
    """The quantile by linear interpolation, like numpy's."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = math.floor(place), math.ceil(place)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _staircase(rows: Sequence[Row], x: Scale, y: Scale) -> list[tuple[float, float, float, float]]:
    """The lines of the front: horizontal to the next point's latency, then up to its quality."""
    corners = [(x.at(latency_of(row).p50), 100 - y.at(percents(row.quality)[0])) for row in front(rows)]
    lines = []
    for (left, low), (right, high) in pairwise(corners):
        lines += [(left, low, right, low), (right, low, right, high)]
    return lines


def _hint(row: Row) -> str:
    lines = [row.step, words.percent(row.quality), f"p50 {number(latency_of(row).p50)} ms"]
    if row.versus_baseline is not None:
        lines += [words.speed_words(row.versus_baseline), f"{words.change(row.versus_baseline)} points"]
    return "\n".join(lines)


def _labels(
    rows: Sequence[ShownRow], x: Scale, y: Scale, spreads: Sequence[tuple[float, float]], size: tuple[float, float]
) -> list[Label | None]:
    """The label of each point; None if it has no room. The most important points get theirs first."""
    width, height = size
    points, bars = [], []
    for row, (left, right) in zip(rows, spreads, strict=True):
        across = width * x.at(latency_of(row).p50) / 100
        value, low, high = (height * (1 - y.at(end) / 100) for end in percents(row.quality))
        points.append((across, value))
        bars.append(Box(across - 2, high, across + 2, low))
        bars.append(Box(width * x.at(left) / 100, value - 2, width * x.at(right) / 100, value + 2))
    front_artifacts = {row.artifact for row in front(rows)}
    order = sorted(range(len(rows)), key=lambda place: _rank(rows[place], rows[-1], front_artifacts))
    names = [_stacked(row) for row in rows]
    places = place_labels(points, names, bars, size, order)
    return [place and _label_at(lines, *place) for lines, place in zip(names, places, strict=True)]


def _stacked(row: ShownRow) -> list[str]:
    """The names of the steps that share a point, one on each line."""
    *others, last = (plain(name) for name in row.names)
    return [*(f"{name}," for name in others), last]


def _label_at(lines: Sequence[str], right: int, down: int) -> Label:
    """A label on one side of its point."""
    height = LINE * len(lines)
    top = down * MARK - {1: 0.0, 0: height / 2, -1: height}[down]
    return Label(lines, {1: "start", 0: "middle", -1: "end"}[right], right * MARK, top + LINE - 4)


def _rank(row: Row, last: Row, front_artifacts: Collection[str]) -> int:
    """The rank of a point's need for a name: 0 for the baseline and the last step, 1 on the front, 2 for others."""
    return 0 if row.is_baseline or row.artifact == last.artifact else 1 if row.artifact in front_artifacts else 2


class Box(NamedTuple):
    """A rectangle, in pixels to the right and down."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: "Box") -> bool:
        """Whether both cover a common place."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


def place_labels(
    points: Sequence[tuple[float, float]],
    texts: Sequence[Sequence[str]],
    bars: Sequence[Box],
    size: tuple[float, float],
    order: Iterable[int],
) -> list[Place | None]:
    """The place of each point's label so that it covers nothing; None for a label that has no room.

    Args:
        points: the points, in pixels to the right and down.
        texts: the lines of each label.
        bars: other boxes that labels must not cover.
        size: the plot's width and height, in pixels.
        order: the numbers of the points; the first ones get their places first.
    """
    plot = Box(0, 0, *size)
    occupied = [*bars, *(Box(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in points)]
    places: list[Place | None] = [None] * len(points)
    for place in order:
        for way in PLACES:
            box = _label(*points[place], texts[place], *way)
            if _fits(box, occupied, plot):
                occupied.append(box)
                places[place] = way
                break
    return places


def _label(x: float, y: float, lines: Sequence[str], right: int, down: int) -> Box:
    width, height = CHARACTER * max(map(len, lines)), LINE * len(lines)
    left = x + right * MARK - {1: 0, 0: width / 2, -1: width}[right]
    top = y + down * MARK - {1: 0, 0: height / 2, -1: height}[down]
    return Box(left, top, left + width, top + height)


def _fits(box: Box, occupied: Sequence[Box], plot: Box) -> bool:
    inside = plot.left <= box.left and box.right <= plot.right and plot.top <= box.top and box.bottom <= plot.bottom
    return inside and not any(box.touches(other) for other in occupied)
