"""What the page's charts share: plotly's JSON as plain dicts.

Lengths are in CSS pixels. Colours are the page's CSS variables, which it resolves where it is shown.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from compress.measurement import Estimate
from compress.report.model import Latency, Row

LONGEST = 20
"""Characters of a name beside a chart."""
TONES = {
    "better": "good",
    "no worse": "good",
    "worse, within the margin": "unsure",
    "worse": "bad",
    "inconclusive": "unsure",
    "faster": "good",
    "as fast": "muted",
    "slower": "bad",
}
"""Verdict -> the colour of its word."""
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


Figure = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One figure of the page.

    Attributes:
        name: a word, for the element's id.
        summary: what it shows, for those who do not see it.
        caption: how to read it.
        figure: plotly's data and layout.
        is_wide: takes the page's whole width.
        wide_caption: what the caption goes on with, but not on a phone.
        narrow_caption: what it goes on with on a phone.
    """

    name: str
    title: str
    summary: str
    caption: str
    figure: Figure
    is_wide: bool = False
    wide_caption: str = ""
    narrow_caption: str = ""


def unique(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Each artifact once, with the names of all steps that it stands for."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.artifact, []).append(row.step)
    first = {row.artifact: row for row in reversed(rows)}
    return [(", ".join(steps), first[artifact]) for artifact, steps in names.items()]


def timed(row: Row) -> Latency:
    """The latency of a row that has one."""
    assert row.latency_ms is not None
    return row.latency_ms


def percents(estimate: Estimate | None) -> tuple[float, float, float]:
    """A share and the ends of its interval in percent; without an interval, the ends are the share itself."""
    assert estimate is not None
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    return 100 * estimate.value, 100 * low, 100 * high


def error_bars(values: Sequence[float], ends: Sequence[tuple[float, float]]) -> Figure:
    """Bars that reach from each value to its two ends."""
    return {
        "type": "data",
        "symmetric": False,
        "thickness": 1.2,
        "width": 3,
        "color": "var(--muted)",
        "array": [high - value for value, (_, high) in zip(values, ends, strict=True)],
        "arrayminus": [value - low for value, (low, _) in zip(values, ends, strict=True)],
    }


def colour(row: Row, last: Row) -> str:
    """The baseline's, the last step's, or that of those between."""
    if row.is_baseline:
        return "var(--baseline)"
    return "var(--accent)" if row.artifact == last.artifact else "var(--middle)"


def told(items: Iterable[tuple[str, str]]) -> str:
    """Names with what is said of each, as one sentence."""
    return "; ".join(f"{name} {value}" for name, value in items) + "."


def plain(text: str, longest: int = LONGEST) -> str:
    """A text that plotly shows as it is: on one line, shortened in its middle, and none of it read as markup."""
    line = " ".join(text.split())
    if len(line) > longest:
        tail = longest // 3
        line = f"{line[: longest - tail - 1]}…{line[-tail:]}"
    return html.escape(line, quote=False)


def number(value: float) -> str:
    """Three digits that count, or all those before the point: `1,195`, `91.4`, `9.40`, `0.0259`."""
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def small(first: str, second: str) -> str:
    """Two lines, the second small."""
    return f"{first}<br><span style='color:var(--muted);font-size:11px'>{second}</span>" if second else first


def toned(verdict: str) -> str:
    """A verdict in the colour that the page gives it."""
    return f"<span style='color:var(--{TONES[verdict]})'>{verdict}</span>"


def layout(height: int, **parts: Any) -> Figure:
    """What all charts have in common."""
    return {
        "height": height,
        "margin": {"l": 4, "r": 4, "t": 8, "b": 4},
        "paper_bgcolor": "var(--paper)",
        "plot_bgcolor": "var(--paper)",
        "font": {"family": FONT, "size": 12.5, "color": "var(--ink)"},
        "hoverlabel": {
            "bgcolor": "var(--paper)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--ink)", "size": 12.5},
            "align": "left",
        },
        "hovermode": "closest",
        "dragmode": False,
        "showlegend": False,
        **parts,
    }


def axis(title: str, **parts: Any) -> Figure:
    """An axis of numbers."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12.5, "color": "var(--muted)"}},
        "gridcolor": "var(--grid)",
        "linecolor": "var(--line)",
        "zerolinecolor": "var(--line)",
        "tickfont": {"color": "var(--muted)"},
        "automargin": True,
        "fixedrange": True,
        "nticks": 6,
        **parts,
    }


def named_rows(names: Sequence[str], notes: Sequence[str], x: Figure, pixels: int, **parts: Any) -> Figure:
    """The layout of a chart that reads like a table: names on the left, figures in words on the right.

    Args:
        names: one a row, from the top; see `plain`.
        notes: one a row.
        x: the axis of the bars or points.
        pixels: height of a row.
    """
    places = list(range(len(names)))
    shared = {
        "tickmode": "array",
        "tickvals": places,
        "range": [len(names) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        "ticks": "",
        "ticklabelstandoff": 6,
    }
    return layout(
        pixels * len(names) + 60,
        xaxis=x,
        yaxis={**shared, "ticktext": list(names)},
        yaxis2={**shared, "ticktext": list(notes), "overlaying": "y", "side": "right"},
        **parts,
    )


NOTES: Figure = {"type": "scatter", "x": [None], "y": [None], "yaxis": "y2", "hoverinfo": "skip"}
"""A trace without points: plotly draws the axis of the notes only if a trace uses it."""


class Milliseconds(NamedTuple):
    """An axis of latencies, and its ends as it places them: their logarithms on a logarithmic axis."""

    axis: Figure
    low: float
    high: float
    is_log: bool

    def share(self, value: float) -> float:
        """Where a latency stands: 0 at the left end, 1 at the right."""
        placed = math.log10(value) if self.is_log else value
        return (placed - self.low) / (self.high - self.low)


def milliseconds(title: str, values: Sequence[float], margin: float = 0.08) -> Milliseconds:
    """An axis that holds all `values`, logarithmic if they range over more than ten times.

    Args:
        margin: what it adds on both sides, as a share of their range.
    """
    lowest, highest = min(values), max(values)
    if highest > 10 * lowest > 0:
        low, high = math.log10(lowest), math.log10(highest)
        pad = margin * (high - low)
        ticks = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in (1, 2, 5)]
        low, high = low - pad, high + pad
        seen = [tick for tick in ticks if low <= math.log10(tick) <= high]
        found = axis(title, type="log", range=[low, high], tickvals=seen, ticktext=[f"{tick:g}" for tick in seen])
        return Milliseconds(found, low, high, is_log=True)
    pad = margin * (highest - lowest) or 0.25 * highest
    low, high = max(0.0, lowest - pad), highest + pad
    return Milliseconds(axis(title, range=[low, high]), low, high, is_log=False)
