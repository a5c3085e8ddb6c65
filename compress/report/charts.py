"""The pictures of the report's page, in their order."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from compress.report import words
from compress.report.figure import (
    TONES,
    Chart,
    Mark,
    PictureRow,
    Rows,
    Scale,
    amounts,
    ends,
    latency_of,
    linear,
    number,
    plain,
    summarize,
    tone,
)
from compress.report.model import Comparison, Report, Row
from compress.report.shown import ShownRow, shown_rows
from compress.report.slices import slices
from compress.report.tradeoff import tradeoff

ROW = 44
"""Height of a picture's row that has two lines of text, in pixels."""


def make_charts(report: Report, target: str) -> list[Chart]:
    """All pictures of one target; a picture without numbers is left out."""
    rows = shown_rows(report, target)
    measured = [row for row in rows if row.latency_ms is not None and row.quality is not None]
    if not measured:
        return [_sizes(rows, rows[-1])] if rows else []
    charts = [tradeoff(measured, report), _latencies(measured), _sizes(rows, measured[-1])]
    chain = _chain(measured)
    if len(chain) > 1:
        if all(row.bought and row.bought.speedup for row in chain[1:]):
            charts.append(_latency_bought(chain))
        charts.append(_quality_bought(chain))
    return [*charts, *slices(measured[-1], report.baseline, report.test.words)]


def _latencies(rows: Sequence[Row]) -> Chart:
    """The picture of the spread of single calls' latencies."""
    samples = [sorted(value for turn in latency_of(row).rounds for value in turn) for row in rows]
    scale = amounts("latency of one call, ms", [value for row_samples in samples for value in row_samples])
    lines = [
        PictureRow(
            plain(row.step),
            _box(row_samples, scale, tone(row, rows[-1])),
            f"{number(latency_of(row).p50)} ms",
            small=f"p99 {number(latency_of(row).p99)}",
        )
        for row, row_samples in zip(rows, samples, strict=True)
    ]
    return Chart(
        "latencies",
        "Latency of single calls",
        summarize(
            (row.step, f"median {number(latency_of(row).p50)} ms, p99 {number(latency_of(row).p99)} ms") for row in rows
        ),
        f"{len(samples[-1])} calls a step. A box holds the middle half of them, the line in it is the median; whiskers "
        "reach up to 1.5 boxes further, points lie beyond." + (" The scale is logarithmic." if scale.is_log else ""),
        Rows(scale, lines, ROW),
    )


def _box(samples: Sequence[float], scale: Scale, colour: str) -> list[Mark]:
    """The marks of a box with whiskers for sorted samples."""
    if len(samples) == 1:
        return [Mark("spot", scale.at(samples[0]), tone=colour)]
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    reach = 1.5 * (high - low)
    inside = [value for value in samples if low - reach <= value <= high + reach]
    beyond = {scale.at(value) for value in samples if value not in (inside[0], inside[-1])} - {
        scale.at(value) for value in inside
    }
    return [
        Mark("whisker", scale.at(inside[0]), scale.at(inside[-1])),
        Mark("box", scale.at(low), scale.at(high), colour),
        Mark("median", scale.at(middle), tone=colour),
        *(Mark("spot", place, tone=colour) for place in sorted(beyond)),
    ]


def _sizes(rows: Sequence[Row], last: Row) -> Chart:
    """The picture of the sizes of the models' files."""
    scale = linear("size, MB", [0.0, *(row.size_bytes / 1e6 for row in rows)])
    lines = [
        PictureRow(
            plain(row.step),
            [Mark("bar", scale.at(0), scale.at(row.size_bytes / 1e6), tone(row, last))],
            f"{number(row.size_bytes / 1e6)} MB",
            small=f"{row.versus_baseline.smaller:.1f}x smaller" if row.versus_baseline else "",
        )
        for row in rows
    ]
    return Chart(
        "sizes",
        "Size",
        summarize((row.step, f"{number(row.size_bytes / 1e6)} MB") for row in rows),
        "What is read of the folder: weights or graph, tokenizer, configuration. 1 MB is a million bytes.",
        Rows(scale, lines, ROW),
    )


def _chain(rows: Sequence[ShownRow]) -> list[ShownRow]:
    """The last row and the rows that it was made from, back to the baseline, as far as they were compared."""
    by_step = {name: row for row in rows for name in row.names}
    chain = [rows[-1]]
    while not chain[0].is_baseline and (bought := chain[0].bought) is not None:
        before = by_step.get(bought.against)
        if before is None or before in chain:
            break
        chain.insert(0, before)
    return chain


def _latency_bought(chain: Sequence[Row]) -> Chart:
    """The picture of each step's change of latency."""
    medians = [latency_of(row).p50 for row in chain]
    scale = linear("median latency of one call, ms", [0.0, *medians])
    last = chain[-1].versus_baseline
    whole = ("", f"{number(medians[-1])} ms", "")
    if chain[0].is_baseline and last is not None:
        whole = _speed_note(last)
    notes = [("", f"{number(medians[0])} ms", ""), *(_speed_note(row.bought) for row in chain[1:]), whole]
    return Chart(
        "latency-bought",
        "What each step did to latency",
        summarize((row.step, words.speed_words(row.bought)) for row in chain[1:] if row.bought),
        f"Each step against the one before, from {chain[0].step} to {chain[-1].step}; below, all of them together. "
        "Small: how many times faster, with its 95% interval.",
        Rows(scale, _waterfall(chain, medians, notes, scale), ROW),
    )


def _quality_bought(chain: Sequence[Row]) -> Chart:
    """The picture of each step's change of quality."""
    changes = [row.bought.change_pp for row in chain[1:] if row.bought]
    levels = [0.0]
    for change in changes:
        levels.append(levels[-1] + change.value)
    last = chain[-1].versus_baseline if chain[0].is_baseline else None
    intervals = [*changes, last.change_pp] if last else changes
    starts = [*levels[:-1], 0.0][: len(intervals)]
    reach = [[start + end for end in ends(change)] for start, change in zip(starts, intervals, strict=True)]
    scale = linear("points won and lost, added up", [0.0, *levels, *(end for both in reach for end in both)], pad=0.04)
    first, whole = (("", words.percent(row.quality).partition(" ")[0], "") for row in (chain[0], chain[-1]))
    notes = [first, *(_change_note(row.bought) for row in chain[1:]), _change_note(last) if last else whole]
    first_line, *others = _waterfall(chain, levels, notes, scale)
    whiskers = [Mark("whisker", scale.at(low), scale.at(high)) for low, high in reach]
    others = [replace(line, marks=[*line.marks, *whiskers[at : at + 1]]) for at, line in enumerate(others)]
    return Chart(
        "quality-bought",
        "What each step did to quality",
        summarize(
            (row.step, f"{words.change(row.bought)} points, {row.bought.quality_verdict}")
            for row in chain[1:]
            if row.bought
        ),
        "Percentage points against the step before; to the left is a loss. The thin bar is the 95% interval of "
        "the change, paired row by row: where it holds the start of its step, the test rows cannot tell it from none.",
        Rows(scale, [first_line, *others], ROW),
    )


Note = tuple[str, str, str]
"""The note beside a row of a picture: the colour of its first line, that line, and a small second line."""


def _speed_note(comparison: Comparison | None) -> Note:
    assert comparison is not None
    return TONES[comparison.speed_verdict], comparison.speed_verdict, words.times(comparison.speedup)


def _change_note(comparison: Comparison | None) -> Note:
    assert comparison is not None
    return TONES[comparison.quality_verdict], comparison.quality_verdict, words.change(comparison)


def _waterfall(chain: Sequence[Row], levels: Sequence[float], notes: Sequence[Note], scale: Scale) -> list[PictureRow]:
    """The rows of a waterfall: one for each step of the chain, and a last one for all of them.

    Args:
        levels: the level after each step, in the scale's unit.
    """
    names = [*(plain(row.step) for row in chain), "together"]
    spans = [(0.0, levels[0]), *pairwise(levels), (0.0, levels[-1])]
    lines = []
    for place, (name, (start, end), (colour, note, small)) in enumerate(zip(names, spans, notes, strict=True)):
        is_whole = place in {0, len(chain)}
        left, right = sorted((scale.at(start), scale.at(end)))
        marks = [Mark("bar", left, right, "baseline" if is_whole else "middle")]
        if place > 0:
            marks.append(Mark("enter", scale.at(levels[place - 1])))
        if place < len(chain):
            marks.append(Mark("leave", scale.at(levels[place])))
        lines.append(PictureRow(name, marks, note, colour, small, is_strong=place == len(chain)))
    return lines
