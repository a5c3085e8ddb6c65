"""The pictures of quality by class and by length."""

from collections.abc import Sequence
from dataclasses import replace

from compress.answers import Words
from compress.report.figure import Chart, Mark, PictureRow, Rows, linear, percents, plain, told
from compress.report.model import Row, Slice
from compress.report.words import percent

CLASSES = 60
"""With more classes than these, only those that changed most are shown."""
CHANGED = 30
SIDE_BY_SIDE = 12
"""Up to so many classes, their picture and the one by length share a line of the page."""
ROW = 26
"""Height of a row, in pixels."""


def slices(last: Row, baseline: str, words: Words) -> list[Chart]:
    """Where the last step is worse than the baseline: by class or type, and by length.

    Args:
        words: of the kind of answers.
    """
    classes = sorted(last.by_class, key=_change)
    many = len(classes) > CLASSES
    if many:
        most = sorted(classes, key=lambda part: -abs(_change(part)))[:CHANGED]
        classes = sorted(most, key=_change)
    is_wide = len(classes) > SIDE_BY_SIDE
    which = f", for the {CHANGED} of {len(last.by_class)} {words.parts} that changed most" if many else ""
    text = f"{words.part_quality}{which}. Bars: 95% interval of {last.step}; few {words.units}, wide bar."
    rows = max(len(classes), len(last.by_length))
    found = []
    if classes:
        picture = _dumbbell(classes, last, baseline, _height(rows, len(classes)), words)
        told_classes = _told_slices(classes, words)
        found.append(Chart("classes", f"Quality by {words.part}", told_classes, text, picture, is_wide))
    if last.by_length:
        pixels = _height(rows if not is_wide else 0, len(last.by_length))
        rows_alone = replace(words, unit="row", units="rows")
        text = f"{words.row_quality} among texts of like length. Bars: 95% interval of {last.step}."
        picture = _dumbbell(last.by_length, last, baseline, pixels, rows_alone)
        told_lengths = _told_slices(last.by_length, rows_alone)
        found.append(Chart("lengths", "Quality by length", told_lengths, text, picture, is_wide))
    return found


def _change(part: Slice) -> float:
    return 0.0 if part.baseline_quality is None else part.quality.value - part.baseline_quality


def _rows(part: Slice, words: Words) -> str:
    return f"{part.rows:,} {words.unit if part.rows == 1 else words.units}"


def _told_slices(parts: Sequence[Slice], words: Words) -> str:
    return told((part.name, f"{percent(part.quality)} of {_rows(part, words)}") for part in parts)


def _height(rows: int, own: int) -> int:
    """Pixels of a row, so that this picture is as high as one with `rows` rows."""
    return ROW * max(rows, own) // own


def _dumbbell(parts: Sequence[Slice], last: Row, baseline: str, pixels: int, words: Words) -> Rows:
    """The baseline's and the last step's quality on each part."""
    shares = [percents(part.quality) for part in parts]
    before = [100 * part.baseline_quality for part in parts if part.baseline_quality is not None]
    seen = [value for three in shares for value in three]
    scale = linear(f"{words.scale}, %", [*seen, *before], pad=0.04)
    lines = []
    for part, (value, low, high) in zip(parts, shares, strict=True):
        hint = f"{part.name}: {percent(part.quality)} of {_rows(part, words)}"
        marks = [
            Mark("whisker", scale.at(low), scale.at(high)),
            Mark("dot", scale.at(value), tone="accent", hint=hint),
        ]
        if part.baseline_quality is not None and not last.is_baseline:
            share = 100 * part.baseline_quality
            marks.insert(1, Mark("ring", scale.at(share), tone="baseline", hint=f"{baseline}: {share:.1f}%"))
        lines.append(PictureRow(plain(part.name), marks, _rows(part, words), "muted"))
    legend = [(Mark("ring", 50, tone="baseline"), plain(baseline)), (Mark("dot", 50, tone="accent"), plain(last.step))]
    return Rows(scale, lines, pixels, () if last.is_baseline else legend)
