"""The chart of quality against latency, with names beside the points that cover nothing."""

import math
from collections.abc import Collection, Sequence
from itertools import pairwise

from compress.answers import metric_title
from compress.report import words
from compress.report.figure import (
    Chart,
    Label,
    Plane,
    Point,
    Scale,
    amounts,
    latency_of,
    linear,
    number,
    percents,
    plain,
    summarize,
    tone,
)
from compress.report.labels import NARROW, WIDE, Cross, labels, unnamed
from compress.report.model import Report, Row
from compress.report.shown import ShownRow

MIDDLE = (0.1, 0.9)
"""Quantiles of the rounds' medians at the ends of a point's horizontal bar."""


def tradeoff(rows: Sequence[ShownRow], report: Report, latency_title: str = "median latency of one call, ms") -> Chart:
    """The chart of quality against latency, with the Pareto front.

    Args:
        rows: the measured rows of one target.
        latency_title: the name of the scale of latencies.
    """
    metric = metric_title(report.test.metric)
    spreads = [spread(row) for row in rows]
    x = amounts(latency_title, [end for both in spreads for end in both], margin=0.15)
    shares = [percents(row.quality) for row in rows]
    y = linear(f"{metric}, %", [value for three in shares for value in three], pad=0.13)
    crosses = [
        Cross(
            x=x.at(latency_of(row).p50),
            y=100 - y.at(value),
            level=(x.at(left), x.at(right)),
            upright=(100 - y.at(high), 100 - y.at(low)),
        )
        for row, (value, low, high), (left, right) in zip(rows, shares, spreads, strict=True)
    ]
    wide, narrow = (_labels(rows, crosses, size) for size in (WIDE, NARROW))
    names = [f"{row.step} ({number(latency_of(row).p50)} ms)" for row in rows]
    points = [
        Point(**cross._asdict(), tone=tone(row, rows[-1]), hint=_hint(row), wide=wide[place], narrow=narrow[place])
        for place, (row, cross) in enumerate(zip(rows, crosses, strict=True))
    ]
    return Chart(
        "tradeoff",
        f"{metric[:1].upper()}{metric[1:]} against latency",
        summarize((row.step, f"{words.percent(row.quality)} at {number(latency_of(row).p50)} ms") for row in rows),
        "Up and to the left is better. Upright bars: 95% interval of the quality. Level bars: the middle 80% of the "
        "rounds' medians. Dotted: the Pareto front, which no other step beats in both; it knows no intervals.",
        Plane(x, y, points, _staircase(rows, x, y)),
        is_wide=True,
        wide_caption=unnamed(names, wide),
        narrow_caption=unnamed(names, narrow),
    )


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


def _labels(rows: Sequence[ShownRow], crosses: Sequence[Cross], size: tuple[float, float]) -> list[Label | None]:
    """The label of each point; None if it has no room. The most important points get theirs first."""
    front_artifacts = {row.artifact for row in front(rows)}
    order = sorted(range(len(rows)), key=lambda place: _rank(rows[place], rows[-1], front_artifacts))
    return labels(crosses, [_stacked(row) for row in rows], size, order)


def _stacked(row: ShownRow) -> list[str]:
    """The names of the steps that share a point, one on each line."""
    *others, last = (plain(name) for name in row.names)
    return [*(f"{name}," for name in others), last]


def _rank(row: Row, last: Row, front_artifacts: Collection[str]) -> int:
    """The rank of a point's need for a name: 0 for the baseline and the last step, 1 on the front, 2 for others."""
    return 0 if row.is_baseline or row.artifact == last.artifact else 1 if row.artifact in front_artifacts else 2
