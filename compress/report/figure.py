"""The parts of the page's pictures: rows of marks, or points in a plane, at places in percent.

The template draws them as SVG. All places are percentages of the width, and texts keep their size: so a picture fits a
phone, a desktop and paper without a script.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from compress.measurement import Estimate
from compress.report.model import Latency, Row

LONGEST = 22
"""The most characters of a name beside a picture."""
TICKS = 6
"""About the most numbers along a scale."""
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
"""The colour of each verdict."""

Kind = Literal["bar", "box", "median", "whisker", "dot", "ring", "spot", "enter", "leave"]


class Tick(NamedTuple):
    """A number along a scale, at a place in percent of the scale's length."""

    share: float
    label: str


@dataclass(frozen=True)
class Scale:
    """A line of numbers.

    Attributes:
        low, high: the ends of the scale; of a logarithmic scale, their logarithms.
    """

    title: str
    low: float
    high: float
    ticks: Sequence[Tick] = ()
    is_log: bool = False

    def at(self, value: float) -> float:
        """The place of a number in percent; a number beyond an end stands at that end."""
        if self.is_log:
            value = math.log10(value) if value > 0 else self.low
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 2)


class Mark(NamedTuple):
    """A sign that is drawn in a row.

    Attributes:
        left: its left end, in percent of the row's width.
        right: its right end; None for a mark without width.
        tone: its colour: accent, middle or baseline.
        hint: the text that appears under the mouse.
    """

    kind: Kind
    left: float
    right: float | None = None
    tone: str = "middle"
    hint: str = ""

    @property
    def width(self) -> float:
        """The width in percent."""
        return 0.0 if self.right is None else round(self.right - self.left, 2)


@dataclass(frozen=True)
class PictureRow:
    """A row of a picture: a name, its marks, and a note.

    Attributes:
        note: the words beside the marks.
        tone: the note's colour; empty for the colour of text.
        small: the small words below the note.
        is_strong: whether the name stands out.
    """

    name: str
    marks: Sequence[Mark]
    note: str = ""
    tone: str = ""
    small: str = ""
    is_strong: bool = False


@dataclass(frozen=True)
class Rows:
    """A picture that reads like a table.

    Attributes:
        pixels: the height of a row.
        legend: marks and their meaning.
    """

    scale: Scale
    rows: Sequence[PictureRow]
    pixels: int
    legend: Sequence[tuple[Mark, str]] = ()


class Label(NamedTuple):
    """A text beside a point.

    Attributes:
        anchor: the end of the text that stands at the point: start, middle or end.
        right: pixels from the point to the right.
        down: pixels from the point down to the foot of the first line.
    """

    lines: Sequence[str]
    anchor: str
    right: float
    down: float


@dataclass(frozen=True)
class Point:
    """A point of a plane; all places are percentages from the left and from the top.

    Attributes:
        level: the ends of its horizontal bar.
        upright: the ends of its vertical bar.
        wide: its label; None if there is no room for it.
        narrow: its label on a phone; None if there is no room for it.
        kind: its sign: a dot, a ring, or a small spot.
    """

    x: float
    y: float
    level: tuple[float, float]
    upright: tuple[float, float]
    tone: str
    hint: str
    wide: Label | None
    narrow: Label | None
    kind: Literal["dot", "ring", "spot"] = "dot"


@dataclass(frozen=True)
class Plane:
    """Points between two scales.

    Attributes:
        front: the lines of a staircase, each (x1, y1, x2, y2) in percent.
        legend: marks and their meaning.
    """

    x: Scale
    y: Scale
    points: Sequence[Point]
    front: Sequence[tuple[float, float, float, float]] = field(default=())
    legend: Sequence[tuple[Mark, str]] = ()


@dataclass(frozen=True)
class Chart:
    """One picture of the page.

    Attributes:
        name: one word, for the element's id.
        summary: the content in words, for people who cannot see the picture.
        caption: how to read the picture.
        is_wide: whether it takes the whole width of the page.
        wide_caption: the end of the caption, except on a phone.
        narrow_caption: the end of the caption on a phone.
    """

    name: str
    title: str
    summary: str
    caption: str
    picture: Rows | Plane
    is_wide: bool = False
    wide_caption: str = ""
    narrow_caption: str = ""

    @property
    def is_plane(self) -> bool:
        """Whether the picture is a plane; else it is rows."""
        return isinstance(self.picture, Plane)


def latency_of(row: Row) -> Latency:
    """The latency of a row that has one."""
    assert row.latency_ms is not None
    return row.latency_ms


def percents(estimate: Estimate | None) -> tuple[float, float, float]:
    """A share and the ends of its interval, in percent; without an interval the ends are the share itself."""
    assert estimate is not None
    low, high = ends(estimate)
    return 100 * estimate.value, 100 * low, 100 * high


def ends(estimate: Estimate) -> tuple[float, float]:
    """The ends of an estimate's interval; without an interval, its value."""
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    return low, high


def tone(row: Row, last: Row) -> str:
    """The colour of a row's marks: the baseline's, the last step's, or the colour of all others."""
    if row.is_baseline:
        return "baseline"
    return "accent" if row.artifact == last.artifact else "middle"


def summarize(items: Iterable[tuple[str, str]]) -> str:
    """One sentence with the value of each name."""
    return "; ".join(f"{name} {value}" for name, value in items) + "."


def plain(text: str, longest: int = LONGEST) -> str:
    """The text on one line, shortened in its middle."""
    line = " ".join(text.split())
    if len(line) > longest:
        tail = longest // 3
        line = f"{line[: longest - tail - 1]}…{line[-tail:]}"
    return line


def number(value: float) -> str:
    """A number with three significant digits, or with all digits before the point: `1,195`, `91.4`, `0.0259`."""
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def linear(title: str, values: Iterable[float], *, pad: float = 0.0) -> Scale:
    """A scale that holds all values, with round numbers along it.

    Args:
        pad: room on both sides, as a share of the values' range.
    """
    numbers = list(values)
    low, high = min(numbers), max(numbers)
    wide = (high - low) or abs(high) or 1.0
    low, high = low - pad * wide, high + (pad * wide if high > low else wide)
    step = _round_step((high - low) / TICKS)
    counts = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    scale = Scale(title, low, high)
    return Scale(title, low, high, [Tick(scale.at(count * step), f"{count * step:.10g}") for count in counts])


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, … that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= least * (1 - 1e-9))


def amounts(title: str, values: Sequence[float], margin: float = 0.08) -> Scale:
    """A scale of amounts, such as latencies or sizes; logarithmic if the largest is more than ten times the smallest.

    Args:
        margin: room on both sides, as a share of the range.
    """
    lowest, highest = min(values), max(values)
    if not highest > 10 * lowest > 0:
        pad = margin * (highest - lowest) or 0.25 * highest
        return linear(title, [max(0.0, lowest - pad), highest + pad])
    low, high = math.log10(lowest), math.log10(highest)
    pad = margin * (high - low)
    low, high = low - pad, high + pad
    return Scale(title, low, high, log_ticks(low, high), is_log=True)


def log_ticks(low: float, high: float) -> list[Tick]:
    """Round numbers between two powers of ten, as many as a scale has room for."""
    scale = Scale("", low, high, is_log=True)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        values = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in steps]
        inside = [value for value in values if low <= math.log10(value) <= high]
        if len(inside) <= TICKS + 1:
            break
    return [Tick(scale.at(value), f"{value:g}") for value in inside]
