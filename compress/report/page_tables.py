"""The tables of the report's page, with the text of each cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from compress.answers import metric_title
from compress.report import words
from compress.report.model import Ablation, Report, Row
from compress.report.page_cells import (
    Cell,
    above_start_cell,
    agreement_cell,
    change_cell,
    end_to_end_cell,
    flipped_cell,
    median_cell,
    megabytes_cell,
    million_cell,
    number_cell,
    other_score,
    percent_cell,
    rows_per_second_cell,
    smaller_cell,
    speed_cell,
    with_interval,
)
from compress.report.shown import shown_rows


class PageColumn(NamedTuple):
    """A column: its head, the meaning of the head, and a function that gives a row's cell."""

    head: str
    hint: str
    cell: Callable[[Row], Cell]


@dataclass(frozen=True)
class Line:
    """A line of a table, in most tables of a step.

    Attributes:
        about: the small text below the step's name.
        cells: the cells; empty if nothing was measured.
        reason: why nothing was measured.
        badge: a word that stands out beside the name.
    """

    step: str
    about: str
    cells: Sequence[Cell]
    is_baseline: bool = False
    is_last: bool = False
    reason: str = ""
    badge: str = ""


@dataclass(frozen=True)
class PageTable:
    """A table.

    Attributes:
        heads: the name and the meaning of each column.
        first: the head of the column with the lines' names.
    """

    caption: str
    heads: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    first: str = "step"


def main_table(report: Report, target: str) -> PageTable:
    """The table of speed, quality and size of each step on a target; the first two columns fit on a phone."""
    metric = metric_title(report.test.metric)
    others = [name for name in type(report.test.right_answers).METRICS if name != report.test.metric]
    columns = [
        PageColumn(
            "times faster",
            "The model alone, at the fixed length: median latency of the baseline over this one's, with its interval",
            lambda row: speed_cell(row.versus_baseline),
        ),
        PageColumn(
            "end\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}end",
            "The same for the tokenizer and the call together, on test rows of their own length",
            end_to_end_cell,
        ),
        PageColumn(
            "change, points",
            f"Points of {metric} against the baseline, with the paired 95% interval; negative is a loss",
            lambda row: change_cell(row.versus_baseline, report.test.metric),
        ),
        PageColumn(
            metric, "On all test rows, with its 95% interval", lambda row: with_interval(words.percent(row.quality))
        ),
        *[PageColumn(metric_title(name), "On the same rows", _scored_by(name, report)) for name in others],
        PageColumn(
            "size, MB",
            "Weights or graph, tokenizer, configuration; 1 MB is a million bytes",
            lambda row: megabytes_cell(row.size_bytes),
        ),
        PageColumn("smaller", "Size of the baseline over this one's", lambda row: smaller_cell(row.versus_baseline)),
        *[PageColumn(f"{name}, ms", hint, _quantile(name)) for name, hint in _QUANTILES],
    ]
    return _table(f"Speed, quality and size on {target}", columns, report, target)


def cost_table(report: Report, target: str) -> PageTable:
    """The table of what each step costs to run."""
    spec = report.targets[target]
    columns = [
        PageColumn("rows/s", "Rows that one caller gets through, one call after the other", rows_per_second_cell),
        PageColumn(
            "real texts p50, ms",
            "Median of calls on test rows of their own length",
            lambda row: median_cell(row.real_latency_ms),
        ),
        PageColumn("tokenize p50, ms", "From texts to the model's inputs", lambda row: median_cell(row.tokenize_ms)),
        PageColumn(
            "a million texts",
            "End to end and one call after the other, on texts like the test rows",
            lambda row: million_cell(row, spec),
        ),
        PageColumn(
            "load, ms", "From the start of loading to a model that can be called", lambda row: number_cell(row.load_ms)
        ),
        PageColumn(
            "peak memory, MB",
            "Largest resident memory of the process",
            lambda row: megabytes_cell(row.peak_memory_bytes),
        ),
        PageColumn("above start, MB", "The same, less Python and the runtime before loading", above_start_cell),
        PageColumn(
            "GPU memory, MB",
            "Taken on the device by loading and calling",
            lambda row: megabytes_cell(row.gpu_memory_bytes),
        ),
        PageColumn("parameters, M", "In millions", lambda row: number_cell(row.parameters, 1e6)),
        PageColumn(
            "GFLOP",
            "Arithmetic of one call at the fixed length, in 10^9 operations",
            lambda row: number_cell(row.flops, 1e9),
        ),
        PageColumn(
            "share of peak",
            "Least time that this arithmetic takes at the machine's measured peak, over the median latency",
            lambda row: percent_cell(row.peak_share, 0),
        ),
    ]
    return _plain(_table(f"Cost of running on {target}", columns, report, target))


def agreement_table(report: Report, target: str) -> PageTable:
    """The table of each step's agreement with the baseline, and of what making the step took."""
    columns = [
        PageColumn("agreement", "Share of test rows on which it says what the baseline says", agreement_cell),
        PageColumn(
            "lost / gained",
            words.flips_words(report.test),
            lambda row: flipped_cell(row.versus_baseline, report.test),
        ),
        PageColumn(
            "calibration error",
            "Expected calibration error: how far the model's confidence is from its accuracy, on average",
            lambda row: percent_cell(row.calibration_error, 1),
        ),
        PageColumn("made in, s", "What the step took", lambda row: number_cell(row.seconds)),
        PageColumn(
            "CPU, s", "Processor time of all threads that the step took", lambda row: number_cell(row.cpu_seconds)
        ),
        PageColumn(
            "made in, MB",
            "Largest resident memory of the process meanwhile",
            lambda row: megabytes_cell(row.made_in_bytes),
        ),
    ]
    return _plain(_table(f"Agreement and making on {target}", columns, report, target))


def _plain(table: PageTable) -> PageTable:
    """The table without the small texts below the names; the first table has them."""
    return replace(table, lines=[replace(line, about="") for line in table.lines])


def ablation_table(ablations: Sequence[Ablation], report: Report) -> PageTable:
    """The table of the worth of each step on one target."""
    metric = metric_title(report.test.metric)
    heads = [
        ("times faster", "Median latency of the chain without the step over that of the whole chain"),
        ("smaller", "Size without the step over the size of the whole chain"),
        ("change, points", f"Percentage points of {metric} that the step brings; negative: it costs them"),
        (f"{metric} without", "Of the chain without the step, with its 95% interval"),
        ("size without, MB", "Of the chain without the step"),
        ("p50 without, ms", "Of the chain without the step"),
    ]
    lines = []
    for ablation in ablations:
        cells = [
            speed_cell(ablation.worth),
            smaller_cell(ablation.worth),
            change_cell(ablation.worth, report.test.metric),
            with_interval(words.percent(ablation.quality)),
            megabytes_cell(ablation.size_bytes),
            number_cell(ablation.latency_ms),
        ]
        reason = "" if ablation.worth else ablation.reason or "not measured"
        lines.append(Line(ablation.step, "", () if reason else cells, reason=reason))
    return PageTable("The whole chain held against the chain without one step", heads, lines)


_QUANTILES = (
    ("p50", "Median latency of a call at the fixed length"),
    ("p90", "Nine calls of ten are faster"),
    ("p99", "99 calls of 100 are faster"),
)


def _scored_by(metric: str, report: Report) -> Callable[[Row], Cell]:
    return lambda row: other_score(row, metric, report.test)


def _quantile(name: str) -> Callable[[Row], Cell]:
    return lambda row: number_cell(getattr(row.latency_ms, name, None))


def _table(caption: str, columns: Sequence[PageColumn], report: Report, target: str) -> PageTable:
    """A table with a line for each row; a column that is empty in every line is left out."""
    rows = shown_rows(report, target)
    last = rows[-1].step if rows else ""
    measured = [row for row in rows if row.latency_ms is not None]
    columns_with_values = [column for column in columns if any(column.cell(row) != Cell() for row in measured)]
    lines = []
    for row in rows:
        lines.append(
            Line(
                row.step,
                row.stage if row.measured_as in row.stage else f"{row.stage}, as {row.measured_as}",
                [column.cell(row) for column in columns_with_values] if row in measured else (),
                row.is_baseline,
                row.step == last,
                "" if row in measured else f"{row.status}: {row.reason or 'no reason is known'}",
                "baseline" if row.is_baseline else "",
            )
        )
    return PageTable(caption, [(column.head, column.hint) for column in columns_with_values], lines)
