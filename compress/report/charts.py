"""The figures of the report's page, in their order."""

from collections.abc import Sequence
from itertools import pairwise

from compress.measurement import Estimate
from compress.report import words
from compress.report.figure import (
    NOTES,
    Chart,
    Figure,
    axis,
    colour,
    error_bars,
    milliseconds,
    named_rows,
    number,
    percents,
    plain,
    small,
    timed,
    told,
    toned,
)
from compress.report.model import Comparison, Report, Row, Slice
from compress.report.tradeoff import tradeoff

CLASSES = 60
"""With more classes than these, only those that changed most are shown."""
CHANGED = 30
SIDE_BY_SIDE = 12
"""Up to so many classes, their chart and the one by length share a line of the page."""
ROW = 44
"""Height of a row with two lines of text beside it, in pixels."""


def make_charts(report: Report, target: str) -> list[Chart]:
    """All figures of one target; those for which there are no numbers are left out."""
    rows = report.on(target)
    measured = [row for row in rows if row.latency_ms is not None and row.quality is not None]
    if not measured:
        return [_sizes(rows, rows[-1])] if rows else []
    found = [tradeoff(measured, report), _latencies(measured), _sizes(rows, measured[-1])]
    chain = _chain(measured)
    if len(chain) > 1:
        if all(row.bought and row.bought.speedup for row in chain[1:]):
            found.append(_latency_bought(chain))
        found.append(_quality_bought(chain))
    return [*found, *_slices(measured[-1], report.baseline)]


def _latencies(rows: Sequence[Row]) -> Chart:
    """How the latencies of single calls are spread."""
    samples = [[float(f"{value:.4g}") for turn in timed(row).rounds for value in turn] for row in rows]
    x = milliseconds("latency of one call, ms", [value for found in samples for value in found])
    boxes = [
        {
            "type": "box",
            "orientation": "h",
            "x": found,
            "y": [place] * len(found),
            "boxpoints": "outliers",
            "width": 0.5,
            "line": {"color": colour(row, rows[-1]), "width": 1.5},
            "marker": {"size": 3, "opacity": 0.6},
            "hoverinfo": "x",
            "xhoverformat": ".3~g",
        }
        for place, (row, found) in enumerate(zip(rows, samples, strict=True))
    ]
    notes = [small(f"{number(timed(row).p50)} ms", f"p99 {number(timed(row).p99)}") for row in rows]
    return Chart(
        "latencies",
        "Latency of single calls",
        told((row.step, f"median {number(timed(row).p50)} ms, p99 {number(timed(row).p99)} ms") for row in rows),
        f"{len(samples[-1])} calls a step. A box holds the middle half of them, the line in it is the median; whiskers "
        "reach up to 1.5 boxes further, points lie beyond." + (" The axis is logarithmic." if x.is_log else ""),
        {"data": [*boxes, NOTES], "layout": named_rows([plain(row.step) for row in rows], notes, x.axis, ROW)},
    )


def _sizes(rows: Sequence[Row], last: Row) -> Chart:
    """What ships."""
    notes = []
    for row in rows:
        smaller = f"{row.versus_baseline.smaller:.1f}x smaller" if row.versus_baseline else ""
        notes.append(small(f"{number(row.size_bytes / 1e6)} MB", smaller))
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [row.size_bytes / 1e6 for row in rows],
        "y": list(range(len(rows))),
        "width": 0.5,
        "marker": {"color": [colour(row, last) for row in rows]},
        "hoverinfo": "skip",
    }
    x = axis("size, MB", rangemode="tozero")
    return Chart(
        "sizes",
        "Size",
        told((row.step, f"{number(row.size_bytes / 1e6)} MB") for row in rows),
        "What is read of the folder: weights or graph, tokenizer, configuration. 1 MB is a million bytes.",
        {"data": [bars, NOTES], "layout": named_rows([plain(row.step) for row in rows], notes, x, ROW)},
    )


def _chain(rows: Sequence[Row]) -> list[Row]:
    """The last row with those that it was made from, back to the baseline, as far as they were compared."""
    by_step = {row.step: row for row in rows}
    chain = [rows[-1]]
    while not chain[0].is_baseline and (bought := chain[0].bought) is not None:
        before = by_step.pop(bought.against, None)
        if before is None:
            break
        chain.insert(0, before)
    return chain


def _latency_bought(chain: Sequence[Row]) -> Chart:
    """What each step took off the latency."""
    medians = [timed(row).p50 for row in chain]
    notes = [f"{number(medians[0])} ms", *(_speed_note(row.bought) for row in chain[1:])]
    last = chain[-1].versus_baseline
    from_baseline = chain[0].is_baseline and last is not None
    notes.append(_speed_note(last) if from_baseline else f"{number(medians[-1])} ms")
    figure = _waterfall(chain, medians, notes, axis("median latency of one call, ms", rangemode="tozero"))
    return Chart(
        "latency-bought",
        "What each step did to latency",
        told((row.step, words.speed_words(row.bought)) for row in chain[1:] if row.bought),
        f"Each step against the one before, from {chain[0].step} to {chain[-1].step}; below, all of them together. "
        "Small: how many times faster, with its 95% interval.",
        figure,
    )


def _quality_bought(chain: Sequence[Row]) -> Chart:
    """What each step did to quality."""
    changes = [row.bought.change_pp for row in chain[1:] if row.bought]
    levels = [0.0]
    for found in changes:
        levels.append(levels[-1] + found.value)
    notes = [words.percent(chain[0].quality).partition(" ")[0], *(_change_note(row.bought) for row in chain[1:])]
    last = chain[-1].versus_baseline if chain[0].is_baseline else None
    notes.append(_change_note(last) if last else words.percent(chain[-1].quality).partition(" ")[0])
    x = axis("points won and lost, added up", zeroline=True, zerolinewidth=1, tickformat="~g")
    figure = _waterfall(chain, levels, notes, x)
    intervals = [*changes, last.change_pp] if last else changes
    starts = [*levels[:-1], 0.0][: len(intervals)]
    figure["data"].insert(1, _whiskers(starts, intervals))
    return Chart(
        "quality-bought",
        "What each step did to quality",
        told(
            (row.step, f"{words.change(row.bought)} points, {row.bought.quality_verdict}")
            for row in chain[1:]
            if row.bought
        ),
        "Percentage points against the step before; to the left is a loss. The thin bar is the 95% interval of "
        "the change, paired row by row: where it holds the start of its step, the test rows cannot tell it from none.",
        figure,
    )


def _speed_note(comparison: Comparison | None) -> str:
    assert comparison is not None
    return small(toned(comparison.speed_verdict), words.times(comparison.speedup))


def _change_note(comparison: Comparison | None) -> str:
    assert comparison is not None
    return small(toned(comparison.quality_verdict), words.change(comparison))


def _waterfall(chain: Sequence[Row], levels: Sequence[float], notes: Sequence[str], x: Figure) -> Figure:
    """Where each step of the chain led, and a last row for all of them.

    Args:
        levels: one a step, in the unit of `x`.
    """
    steps = [after - before for before, after in pairwise(levels)]
    names = [plain(row.step) for row in chain]
    bars = {
        "type": "waterfall",
        "orientation": "h",
        "y": list(range(len(levels) + 1)),
        "x": [levels[0], *steps, levels[-1]],
        "measure": ["absolute", *["relative"] * len(steps), "total"],
        "width": 0.5,
        "textposition": "none",
        "hoverinfo": "skip",
        "connector": {"line": {"color": "var(--line)", "width": 1}},
        "decreasing": {"marker": {"color": "var(--middle)"}},
        "increasing": {"marker": {"color": "var(--middle)"}},
        "totals": {"marker": {"color": "var(--baseline)"}},
    }
    return {"data": [bars, NOTES], "layout": named_rows([*names, "<b>together</b>"], notes, x, ROW)}


def _whiskers(starts: Sequence[float], changes: Sequence[Estimate]) -> Figure:
    """The interval of each step's change, from where the step starts."""
    ends = [start + found.value for start, found in zip(starts, changes, strict=True)]
    reach = [
        (
            start + (found.value if found.low is None else found.low),
            start + (found.value if found.high is None else found.high),
        )
        for start, found in zip(starts, changes, strict=True)
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "marker": {"size": 0.1, "opacity": 0},
        "x": ends,
        "y": list(range(1, len(ends) + 1)),
        "error_x": error_bars(ends, reach),
        "hoverinfo": "skip",
    }


def _slices(last: Row, baseline: str) -> list[Chart]:
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
        figure = _dumbbell(classes, last, baseline, _height(rows, len(classes)))
        found.append(Chart("classes", "Quality by class", _told_slices(classes), text, figure, is_wide))
    if last.by_length:
        height = _height(rows if not is_wide else 0, len(last.by_length))
        text = f"Share of right rows among texts of like length. Bars: 95% interval of {last.step}."
        figure = _dumbbell(last.by_length, last, baseline, height)
        found.append(Chart("lengths", "Quality by length", _told_slices(last.by_length), text, figure, is_wide))
    return found


def _change(part: Slice) -> float:
    return 0.0 if part.baseline_quality is None else part.quality.value - part.baseline_quality


def _rows(part: Slice) -> str:
    return f"{part.rows:,} row{'' if part.rows == 1 else 's'}"


def _told_slices(parts: Sequence[Slice]) -> str:
    return told((part.name, f"{words.percent(part.quality)} of {_rows(part)}") for part in parts)


def _height(rows: int, own: int) -> int:
    """Pixels of a row, so that this chart is as high as one with `rows` rows."""
    return 26 * max(rows, own) // own


def _dumbbell(parts: Sequence[Slice], last: Row, baseline: str, pixels: int) -> Figure:
    """The baseline's and the last step's quality on each part."""
    places = list(range(len(parts)))
    ends = [percents(part.quality) for part in parts]
    after = {
        "type": "scatter",
        "mode": "markers",
        "name": plain(last.step),
        "x": [value for value, _, _ in ends],
        "y": places,
        "error_x": error_bars([value for value, _, _ in ends], [(low, high) for _, low, high in ends]),
        "marker": {"size": 9, "color": "var(--accent)"},
        "hoverinfo": "text",
        "hovertext": [f"{plain(part.name, 60)}: {words.percent(part.quality)} of {_rows(part)}" for part in parts],
    }
    before = {
        "type": "scatter",
        "mode": "markers",
        "name": plain(baseline),
        "x": [None if part.baseline_quality is None else 100 * part.baseline_quality for part in parts],
        "y": places,
        "marker": {"size": 10, "symbol": "circle-open", "color": "var(--baseline)", "line": {"width": 2}},
        "hoverinfo": "x",
        "xhoverformat": ".1f",
    }
    names = [plain(part.name) for part in parts]
    notes = [f"<span style='color:var(--muted)'>{_rows(part)}</span>" for part in parts]
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"}
    shape = named_rows(names, notes, axis("right, %"), pixels, legend=legend)
    shape["showlegend"] = not last.is_baseline
    shape["height"] += 24
    return {"data": [after] if last.is_baseline else [before, after, {**NOTES, "showlegend": False}], "layout": shape}
