"""The chart of quality against latency, with a name beside each point that covers nothing."""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from compress.report import words
from compress.report.figure import (
    Chart,
    Figure,
    Milliseconds,
    axis,
    colour,
    error_bars,
    layout,
    milliseconds,
    number,
    percents,
    plain,
    timed,
    told,
    unique,
)
from compress.report.model import Report, Row

MIDDLE = (0.1, 0.9)
"""Between these quantiles of the rounds' medians lies the level bar of a point."""
WIDE, NARROW = (620.0, 270.0), (270.0, 260.0)
"""Width and height of a plot on a small window and on a phone; labels with room there have room on larger ones."""
CHARACTER, LINE, MARK = 6.6, 15.0, 6.0
"""Width of a character, height of a line, and half the width of a mark."""
PLACES = (
    ("top right", 1, -1),
    ("bottom right", 1, 1),
    ("top left", -1, -1),
    ("bottom left", -1, 1),
    ("middle right", 1, 0),
    ("middle left", -1, 0),
    ("top center", 0, -1),
    ("bottom center", 0, 1),
)
"""Where a label may stand by its point: plotly's name, then the way to the right and the way down."""


def tradeoff(rows: Sequence[Row], report: Report) -> Chart:
    """Quality against latency, with the Pareto front.

    Args:
        rows: measured, on one target.
    """
    named = unique(rows)
    shown = [row for _, row in named]
    metric = words.METRICS.get(report.test.metric, report.test.metric)
    spreads = [spread(row) for row in shown]
    x = milliseconds("median latency of one call, ms", [end for ends in spreads for end in ends], margin=0.15)
    low = min(percents(row.quality)[1] for row in shown)
    high = max(percents(row.quality)[2] for row in shown)
    pad = 0.13 * (high - low) or 1.0
    y = (low - pad, high + pad)
    wide, narrow = (_labels(named, x, y, spreads, size) for size in (WIDE, NARROW))
    points = {**_points(named, spreads, rows[-1]), **wide, "meta": {"narrow": narrow}}
    figure = {
        "data": [_front_line(shown), points],
        "layout": layout(360, xaxis=x.axis, yaxis=axis(f"{metric}, %", range=list(y))),
    }
    return Chart(
        "tradeoff",
        f"{metric[:1].upper()}{metric[1:]} against latency",
        told((name, f"{words.percent(row.quality)} at {number(timed(row).p50)} ms") for name, row in named),
        "Up and to the left is better. Upright bars: 95% interval of the quality. Level bars: the middle 80% of the "
        "rounds' medians. Dotted: the Pareto front, which no other step beats in both; it knows no intervals.",
        figure,
        is_wide=True,
        wide_caption=_unnamed(named, wide),
        narrow_caption=_unnamed(named, narrow),
    )


def _unnamed(named: Sequence[tuple[str, Row]], labels: Figure) -> str:
    missing = [
        f"{name} ({number(timed(row).p50)} ms)"
        for (name, row), text in zip(named, labels["text"], strict=True)
        if not text
    ]
    return f"No room for the names of {'; '.join(missing)}." if missing else ""


def front(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other one beats in both latency and quality, the fastest first."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (timed(row).p50, -percents(row.quality)[0])):
        if not kept or percents(row.quality)[0] > percents(kept[-1].quality)[0]:
            kept.append(row)
    return kept


def spread(row: Row) -> tuple[float, float]:
    """The ends of the middle of the rounds' medians, in milliseconds; the median of all lies between them."""
    found = timed(row)
    medians = [_quantile(turn, 0.5) for turn in found.rounds if turn] or [found.p50]
    low, high = (_quantile(medians, share) for share in MIDDLE)
    return min(low, found.p50), max(high, found.p50)


def _quantile(values: Sequence[float], share: float) -> float:
    """By linear interpolation, like numpy's."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = math.floor(place), math.ceil(place)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _front_line(rows: Sequence[Row]) -> Figure:
    edge = front(rows)
    return {
        "type": "scatter",
        "mode": "lines",
        "hoverinfo": "skip",
        "x": [timed(row).p50 for row in edge],
        "y": [percents(row.quality)[0] for row in edge],
        "line": {"color": "var(--middle)", "dash": "dot", "shape": "hv"},
    }


def _points(named: Sequence[tuple[str, Row]], spreads: Sequence[tuple[float, float]], last: Row) -> Figure:
    rows = [row for _, row in named]
    x, y = [timed(row).p50 for row in rows], [percents(row.quality) for row in rows]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": x,
        "y": [value for value, _, _ in y],
        "error_x": error_bars(x, spreads),
        "error_y": error_bars([value for value, _, _ in y], [(low, high) for _, low, high in y]),
        "textfont": {"color": "var(--ink)"},
        "cliponaxis": False,
        "marker": {
            "size": 11,
            "color": [colour(row, last) for row in rows],
            "line": {"color": "var(--paper)", "width": 1},
        },
        "hoverinfo": "text",
        "hovertext": [_hover(name, row) for name, row in named],
    }


def _hover(name: str, row: Row) -> str:
    lines = [f"<b>{plain(name, 60)}</b>", words.percent(row.quality), f"p50 {number(timed(row).p50)} ms"]
    if row.versus_baseline is not None:
        lines += [words.speed_words(row.versus_baseline), f"{words.change(row.versus_baseline)} points"]
    return "<br>".join(lines)


def _stacked(name: str) -> str:
    """The names of the steps that share a point, one a line."""
    return ",<br>".join(plain(step) for step in name.split(", "))


def _labels(
    named: Sequence[tuple[str, Row]],
    x: Milliseconds,
    y: tuple[float, float],
    spreads: Sequence[tuple[float, float]],
    size: tuple[float, float],
) -> Figure:
    """The points' labels and their places; those that matter most first, empty where there is no room."""
    width, height = size
    points, bars = [], []
    for (_, row), (left, right) in zip(named, spreads, strict=True):
        across = width * x.share(timed(row).p50)
        value, low, high = (height * (y[1] - end) / (y[1] - y[0]) for end in percents(row.quality))
        points.append((across, value))
        bars.append(Box(across - 2, high, across + 2, low))
        bars.append(Box(width * x.share(left), value - 2, width * x.share(right), value + 2))
    edge = {row.artifact for row in front([row for _, row in named])}
    order = sorted(range(len(named)), key=lambda place: _weight(named[place][1], named[-1][1], edge))
    texts = [_stacked(name) for name, _ in named]
    places = place_labels(points, texts, bars, size, order)
    return {
        "text": [text if place else "" for text, place in zip(texts, places, strict=True)],
        "textposition": [place or "top right" for place in places],
    }


def _weight(row: Row, last: Row, edge: Collection[str]) -> int:
    """0 for the points that need a name most."""
    return 0 if row.is_baseline or row.artifact == last.artifact else 1 if row.artifact in edge else 2


class Box(NamedTuple):
    """A rectangle, in pixels to the right and down."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: "Box") -> bool:
        """True if both cover some place."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


def place_labels(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    bars: Sequence[Box],
    size: tuple[float, float],
    order: Iterable[int],
) -> list[str]:
    """Where each point's label goes so that it covers nothing; empty for those that have no room.

    Args:
        points: in pixels to the right and down.
        bars: what else must stay free.
        size: the plot's width and height, in pixels.
        order: of the points, by number: the first ones take their places first.
    """
    plot = Box(0, 0, *size)
    taken = [*bars, *(Box(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in points)]
    found = [""] * len(points)
    for place in order:
        for name, right, down in PLACES:
            box = _label(*points[place], texts[place], right, down)
            if _fits(box, taken, plot):
                taken.append(box)
                found[place] = name
                break
    return found


def _label(x: float, y: float, text: str, right: int, down: int) -> Box:
    lines = text.split("<br>")
    width, height = CHARACTER * max(map(len, lines)), LINE * len(lines)
    left = x + right * MARK - {1: 0, 0: width / 2, -1: width}[right]
    top = y + down * MARK - {1: 0, 0: height / 2, -1: height}[down]
    return Box(left, top, left + width, top + height)


def _fits(box: Box, taken: Sequence[Box], plot: Box) -> bool:
    inside = plot.left <= box.left and box.right <= plot.right and plot.top <= box.top and box.bottom <= plot.bottom
    return inside and not any(box.touches(other) for other in taken)
