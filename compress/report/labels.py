"""Names beside the points of a plane, placed so that they cover nothing."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from compress.report.figure import Label

WIDE, NARROW = (620.0, 270.0), (270.0, 260.0)
"""Width and height of a plot in a small window and on a phone; labels that fit there fit larger ones."""
CHARACTER, LINE, MARK = 6.6, 15.0, 6.0
"""Width of a character, height of a line, and half the width of a mark."""
PLACES = ((1, -1), (1, 1), (-1, -1), (-1, 1), (1, 0), (-1, 0), (0, -1), (0, 1))
"""The places of a label beside its point, the best first: the direction to the right, and the direction down."""
Place = tuple[int, int]


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


class Cross(NamedTuple):
    """A point with its bars; all places are percentages from the left and from the top.

    Attributes:
        level: the ends of its horizontal bar.
        upright: the ends of its vertical bar, the upper one first.
    """

    x: float
    y: float
    level: tuple[float, float]
    upright: tuple[float, float]


def labels(
    crosses: Sequence[Cross], texts: Sequence[Sequence[str]], size: tuple[float, float], order: Iterable[int]
) -> list[Label | None]:
    """The label of each point; None if it has no room.

    Args:
        texts: the lines of each label.
        size: the plot's width and height, in pixels.
        order: the numbers of the points that get a label; the first ones get their places first.
    """
    width, height = (side / 100 for side in size)
    points, bars = [], []
    for cross in crosses:
        across, down = width * cross.x, height * cross.y
        points.append((across, down))
        bars.append(Box(across - 2, height * cross.upright[0], across + 2, height * cross.upright[1]))
        bars.append(Box(width * cross.level[0], down - 2, width * cross.level[1], down + 2))
    places = place_labels(points, texts, bars, size, order)
    return [place and _label_at(lines, *place) for lines, place in zip(texts, places, strict=True)]


def unnamed(names: Sequence[str], placed: Sequence[Label | None]) -> str:
    """A sentence with the names that have no room in the chart; empty if all have.

    Args:
        placed: the label of each name.
    """
    missing = [name for name, label in zip(names, placed, strict=True) if label is None]
    return f"No room for the names of {'; '.join(missing)}." if missing else ""


def _label_at(lines: Sequence[str], right: int, down: int) -> Label:
    """A label on one side of its point."""
    height = LINE * len(lines)
    top = down * MARK - {1: 0.0, 0: height / 2, -1: height}[down]
    return Label(lines, {1: "start", 0: "middle", -1: "end"}[right], right * MARK, top + LINE - 4)


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
