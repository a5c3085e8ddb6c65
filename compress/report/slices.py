"""The pictures of quality by class and by length."""

from collections.abc import Sequence
from dataclasses import replace

from compress.answers import Words
from compress.report.figure import Chart, Mark, PictureRow, Rows, linear, percents, plain, summarize
from compress.report.model import Row, Slice
from compress.report.words import percent

CLASSES = 60
"""The most classes that are all shown; of more, only those that changed most."""
CHANGED = 30
"""Number of classes that changed most which are shown."""
SIDE_BY_SIDE = 12
"""The most classes whose picture has room beside the one by length."""
ROW = 26
"""Height of a row, in pixels."""


def slices(last: Row, baseline: str, words: Words) -> list[Chart]:
    """The pictures of the last step's quality beside the baseline's: by class or type, and by length.

    Args:
        words: the words for the kind of answers.
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
    charts = []
    if classes:
        picture = _dumbbell(classes, last, baseline, _height(rows, len(classes)), words)
        class_summary = _slice_summary(classes, words)
        charts.append(Chart("classes", f"Quality by {words.part}", class_summary, text, picture, is_wide))
    if last.by_length:
        pixels = _height(rows if not is_wide else 0, len(last.by_length))
        rows_alone = replace(words, unit="row", units="rows")
        text = f"{words.row_quality} among texts of like length. Bars: 95% interval of {last.step}."
        picture = _dumbbell(last.by_length, last, baseline, pixels, rows_alone)
        length_summary = _slice_summary(last.by_length, rows_alone)
        charts.append(Chart("lengths", "Quality by length", length_summary, text, picture, is_wide))
    return charts


def _change(part: Slice) -> float:
    return 0.0 if part.baseline_quality is None else part.quality.value - part.baseline_quality


def _rows(part: Slice, words: Words) -> str:
    return f"{part.rows:,} {words.unit if part.rows == 1 else words.units}"


def _slice_summary(parts: Sequence[Slice], words: Words) -> str:
    return summarize((part.name, f"{percent(part.quality)} of {_rows(part, words)}") for part in parts)


def _height(rows: int, own: int) -> int:
    """The pixels of a row that make this picture as high as one with `rows` rows."""
    return ROW * max(rows, own) // own


def _dumbbell(parts: Sequence[Slice], last: Row, baseline: str, pixels: int, words: Words) -> Rows:
    """The picture of the baseline's and the last step's quality on each part."""
    shares = [percents(part.quality) for part in parts]
    before = [100 * part.baseline_quality for part in parts if part.baseline_quality is not None]
    ends = [value for three in shares for value in three]
    scale = linear(f"{words.scale}, %", [*ends, *before], pad=0.04)
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
