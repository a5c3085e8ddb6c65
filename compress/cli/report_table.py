"""A target's figures as a table on a terminal."""

from typing import Any

from compress.cli.layouts import Lines, laid_out
from compress.measurement import Estimate
from compress.report.model import Report
from compress.report.shown import ShownRow, shown_rows
from compress.report.words import POINTS, describe_target, digits_of_ratio

WORDS = ("step", "quality", "speed")
"""The table's columns that hold words."""
STEP = 8
"""The least width of a step's name; a longer name goes on in the next line."""
WIDE = ("step", "score", "change", "quality", "MB", "p50 ms", "p90 ms", "faster", "speed", "end to end")
NARROW = ("step", "score", "change", "MB", "p50 ms", "faster", "end to end")
NARROWER = tuple(NARROW[:-1]), ("step", "change", "p50 ms", "faster"), ("step", "change", "faster"), ("step", "change")
LAYOUTS = (WIDE, NARROW, *NARROWER)
"""The columns of each layout, for less and less width. All of them show the verdicts."""


def report_table(report: Report, target: str, width: int) -> Any:
    """The table of one target's rows, intervals below their figures, in the first layout that fits.

    Where the verdicts have no columns of their own, they stand below the intervals. Empty columns are left out.

    Args:
        width: the width of the terminal.
    """
    rows = shown_rows(report, target)
    return laid_out(
        describe_target(report, target),
        LAYOUTS,
        lambda layout: [cells(row, wide=layout == WIDE) for row in rows],
        width,
        least=STEP,
        words=WORDS,
    )


def cells(row: ShownRow, *, wide: bool) -> dict[str, Lines]:
    """The lines in each column of a row."""
    columns: dict[str, Lines] = {
        "step": (f"{row.step} *" if row.is_baseline else row.step,),
        "MB": (f"{row.size_bytes / 1e6:.2f}",),
    }
    if row.quality is None or row.latency_ms is None:
        return columns | {"score": (row.status,)}
    columns |= {
        "score": (f"{100 * row.quality.value:.2f}%",),
        "p50 ms": (f"{row.latency_ms.p50:.2f}",),
        "p90 ms": (f"{row.latency_ms.p90:.2f}",),
    }
    comparison = row.versus_baseline
    if comparison is None:
        return columns
    change, faster = with_interval(comparison.change_pp, POINTS), ratio(comparison.speedup)
    columns["end to end"] = ratio(comparison.end_to_end)
    if wide:
        verdicts: dict[str, Lines] = {"quality": (comparison.quality_verdict,), "speed": (comparison.speed_verdict,)}
        return columns | verdicts | {"change": change, "faster": faster}
    return columns | {"change": (*change, comparison.quality_verdict), "faster": (*faster, comparison.speed_verdict)}


def ratio(estimate: Estimate | None) -> Lines:
    """The lines of a speed-up: how many times faster, and below it the interval."""
    return () if estimate is None else with_interval(estimate, f".{digits_of_ratio(estimate.value)}f", "x")


def with_interval(estimate: Estimate | None, form: str, unit: str = "") -> Lines:
    """The lines of a figure: the figure, and below it the interval."""
    if estimate is None:
        return ()
    figure = f"{estimate.value:{form}}{unit}"
    if estimate.low is None or estimate.high is None:
        return (figure,)
    return figure, f"[{estimate.low:{form}}, {estimate.high:{form}}]"
