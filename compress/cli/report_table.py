"""A target's figures as a table on a terminal."""

from typing import Any

from compress.cli.screen import stacked
from compress.measurement import Estimate
from compress.report.model import Report
from compress.report.shown import ShownRow, shown_rows
from compress.report.words import POINTS, describe_target, digits_of_ratio

WORDS = ("step", "quality", "speed")
"""Columns of words."""
GAP = 2
"""Columns of the terminal beside each of the table's."""
STEP = 8
"""Letters of a step's name that stand in one line at least; a longer name goes on below."""
WIDE = ("step", "score", "change", "quality", "MB", "p50 ms", "p90 ms", "faster", "speed", "end to end")
NARROW = ("step", "score", "change", "MB", "p50 ms", "faster", "end to end")
NARROWER = tuple(NARROW[:-1]), ("step", "change", "p50 ms", "faster"), ("step", "change", "faster"), ("step", "change")
LAYOUTS = (WIDE, NARROW, *NARROWER)
"""Columns, for less and less room. Verdicts are in all of them."""

Lines = tuple[str, ...]


def report_table(report: Report, target: str, width: int) -> Any:
    """One target's rows, intervals below their figures, in the first layout that fits.

    Where the verdicts have no columns of their own they stand below the intervals. Columns that say nothing of any row
    are left out.

    Args:
        width: columns of the terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shown = shown_rows(report, target)
    for layout in LAYOUTS:
        rows = [cells(row, wide=layout == WIDE) for row in shown]
        names = [name for name in layout if any(row.get(name) for row in rows)]
        widths = {name: max(len(line) for row in rows for line in (name, *row.get(name, ())[:2])) for name in names}
        least = min(STEP, widths["step"])
        if least + sum(widths[name] for name in names[1:]) + GAP * len(names) <= width:
            break
    title = describe_target(report, target)
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        limits: dict[str, Any] = {"min_width": least} if name == "step" else {"width": widths[name]}
        table.add_column(name, justify="left" if name in WORDS else "right", overflow="fold", **limits)
    for row in rows:
        table.add_row(*(stacked(*row.get(name, ())) for name in names))
    return table


def cells(row: ShownRow, *, wide: bool) -> dict[str, Lines]:
    """What stands in each column."""
    told: dict[str, Lines] = {
        "step": (f"{row.step} *" if row.is_baseline else row.step,),
        "MB": (f"{row.size_bytes / 1e6:.2f}",),
    }
    if row.quality is None or row.latency_ms is None:
        return told | {"score": (row.status,)}
    told |= {
        "score": (f"{100 * row.quality.value:.2f}%",),
        "p50 ms": (f"{row.latency_ms.p50:.2f}",),
        "p90 ms": (f"{row.latency_ms.p90:.2f}",),
    }
    found = row.versus_baseline
    if found is None:
        return told
    change, faster = with_interval(found.change_pp, POINTS), ratio(found.speedup)
    told["end to end"] = ratio(found.end_to_end)
    if wide:
        verdicts: dict[str, Lines] = {"quality": (found.quality_verdict,), "speed": (found.speed_verdict,)}
        return told | verdicts | {"change": change, "faster": faster}
    return told | {"change": (*change, found.quality_verdict), "faster": (*faster, found.speed_verdict)}


def ratio(estimate: Estimate | None) -> Lines:
    """How many times faster something is, and its interval as the next line."""
    return () if estimate is None else with_interval(estimate, f".{digits_of_ratio(estimate.value)}f", "x")


def with_interval(estimate: Estimate | None, form: str, unit: str = "") -> Lines:
    """A figure, and its interval as the next line."""
    if estimate is None:
        return ()
    shown = f"{estimate.value:{form}}{unit}"
    if estimate.low is None or estimate.high is None:
        return (shown,)
    return shown, f"[{estimate.low:{form}}, {estimate.high:{form}}]"
