"""The pictures of quality by class and by length."""

from collections.abc import Sequence

from compress.report import words
from compress.report.figure import Chart, Mark, PictureRow, Rows, linear, percents, plain, told
from compress.report.model import Row, Slice

CLASSES = 60
"""With more classes than these, only those that changed most are shown."""
CHANGED = 30
SIDE_BY_SIDE = 12
"""Up to so many classes, their picture and the one by length share a line of the page."""
ROW = 26
"""Height of a row, in pixels."""


def slices(last: Row, baseline: str) -> list[Chart]:
    """Where the last step is right less often than the baseline: by class, and by length."""
    classes = sorted(last.by_class, key=_change)
    many = len(classes) > CLASSES
    if many:
        most = sorted(classes, key=lambda part: -abs(_change(part)))[:CHANGED]
        classes = sorted(most, key=_change)
    is_wide = len(classes) > SIDE_BY_SIDE
    which = f", for the {CHANGED} of {len(last.by_class)} classes that changed most" if many else ""
    text = f"Share of the rows of a class that are right{which}. Bars: 95% interval of {last.step}; few rows, wide bar."
    rows = max(len(classes), len(last.by_length))
    found = []
    if classes:
        picture = _dumbbell(classes, last, baseline, _height(rows, len(classes)))
        found.append(Chart("classes", "Quality by class", _told_slices(classes), text, picture, is_wide))
    if last.by_length:
        pixels = _height(rows if not is_wide else 0, len(last.by_length))
        text = f"Share of right rows among texts of like length. Bars: 95% interval of {last.step}."
        picture = _dumbbell(last.by_length, last, baseline, pixels)
        found.append(Chart("lengths", "Quality by length", _told_slices(last.by_length), text, picture, is_wide))
    return found


def _change(part: Slice) -> float:
    return 0.0 if part.baseline_quality is None else part.quality.value - part.baseline_quality


def _rows(part: Slice) -> str:
    return f"{part.rows:,} row{'' if part.rows == 1 else 's'}"


def _told_slices(parts: Sequence[Slice]) -> str:
    return told((part.name, f"{words.percent(part.quality)} of {_rows(part)}") for part in parts)


def _height(rows: int, own: int) -> int:
    """Pixels of a row, so that this picture is as high as one with `rows` rows."""
    return ROW * max(rows, own) // own


def _dumbbell(parts: Sequence[Slice], last: Row, baseline: str, pixels: int) -> Rows:
    """The baseline's and the last step's quality on each part."""
    shares = [percents(part.quality) for part in parts]
    before = [100 * part.baseline_quality for part in parts if part.baseline_quality is not None]
    seen = [value for three in shares for value in three]
    scale = linear("right, %", [*seen, *before], pad=0.04)
    lines = []
    for part, (value, low, high) in zip(parts, shares, strict=True):
        hint = f"{part.name}: {words.percent(part.quality)} of {_rows(part)}"
        marks = [
            Mark("whisker", scale.at(low), scale.at(high)),
            Mark("dot", scale.at(value), tone="accent", hint=hint),
        ]
        if part.baseline_quality is not None and not last.is_baseline:
            share = 100 * part.baseline_quality
            marks.insert(1, Mark("ring", scale.at(share), tone="baseline", hint=f"{baseline}: {share:.1f}%"))
        lines.append(PictureRow(plain(part.name), marks, _rows(part), "muted"))
    legend = [(Mark("ring", 50, tone="baseline"), plain(baseline)), (Mark("dot", 50, tone="accent"), plain(last.step))]
    return Rows(scale, lines, pixels, () if last.is_baseline else legend)
