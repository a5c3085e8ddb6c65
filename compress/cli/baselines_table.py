"""The simple baselines of a report as a table on a terminal."""

from typing import Any

from compress.cli.layouts import Lines, laid_out
from compress.cli.report_table import with_interval
from compress.measurement import Estimate
from compress.report.baselines import fitted, milliseconds
from compress.report.figure import number
from compress.report.model import Comparison, Report, SimpleBaseline
from compress.report.words import POINTS

HEADS = ("baseline", "score", "change", "against last", "MB", "text, ms", "end to end", "CPU s")
NARROW = HEADS[:-2]
LAYOUTS = (HEADS, NARROW, ("baseline", "change", "against last"), ("baseline", "change"))
"""The columns of each layout, for less and less width."""
NAME = 11
"""The least width of a baseline's name; a longer name goes on in the next line."""


def baselines_table(report: Report, width: int) -> Any:
    """The table of the baselines that have answers, the best first; None if there are none.

    Args:
        width: the width of the terminal.
    """
    rows = [_cells(baseline) for baseline in fitted(report)]
    if not rows:
        return None
    return laid_out("simple baselines, from raw text to label", LAYOUTS, lambda _: rows, width, least=NAME)


def _cells(baseline: SimpleBaseline) -> dict[str, Lines]:
    """The lines in each column of a row."""
    assert baseline.quality is not None
    faster = baseline.versus_baseline.end_to_end if baseline.versus_baseline else None
    return {
        "baseline": (baseline.short,),
        "score": (f"{100 * baseline.quality.value:.2f}%",),
        "change": _change(baseline.versus_baseline),
        "against last": _change(baseline.versus_last),
        "MB": (f"{(baseline.size_bytes or 0) / 1e6:.2f}",),
        "text, ms": (milliseconds(baseline),),
        "end to end": () if faster is None else _faster(faster),
        "CPU s": () if baseline.cpu_seconds is None else (number(baseline.cpu_seconds),),
    }


def _change(comparison: Comparison | None) -> Lines:
    if comparison is None:
        return ()
    return *with_interval(comparison.change_pp, POINTS), comparison.quality_verdict


def _faster(estimate: Estimate) -> Lines:
    return (f"{number(estimate.value)}x",)
