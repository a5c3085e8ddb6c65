"""The tables of the report's page: what each column says of a row, as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from compress.report import words
from compress.report.figure import TONES, number
from compress.report.model import Ablation, Comparison, Latency, Report, Row


class Cell(NamedTuple):
    """A figure, its interval below it, and the verdict that the interval allows.

    Attributes:
        tone: the verdict's colour.
        hint: the verdict in a sentence.
        is_text: words, on as many lines as they need.
    """

    text: str = ""
    interval: str = ""
    verdict: str = ""
    tone: str = ""
    hint: str = ""
    is_text: bool = False


class Column(NamedTuple):
    """A column: its head, what the head means, and what it says of a row."""

    head: str
    hint: str
    cell: Callable[[Row], Cell]


@dataclass(frozen=True)
class Line:
    """A line of a table, of a step as a rule.

    Attributes:
        about: small, below the step's name.
        badge: stands out beside the name.
        cells: empty where nothing was measured; `reason` says why.
    """

    step: str
    about: str
    cells: Sequence[Cell]
    is_baseline: bool = False
    is_last: bool = False
    reason: str = ""
    badge: str = ""


@dataclass(frozen=True)
class Table:
    """A table; its heads are pairs of a name and what it means, but for that of the lines' names, `first`."""

    caption: str
    heads: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    first: str = "step"


def main_table(report: Report, target: str) -> Table:
    """Quality, size and speed of each step on a target."""
    metric = words.METRICS.get(report.test.metric, report.test.metric)
    columns = [
        Column(
            metric, "On all test rows, with its 95% interval", lambda row: with_interval(words.percent(row.quality))
        ),
        Column(
            "change, points",
            f"Points of {metric} against the baseline, with the paired 95% interval; negative is a loss",
            lambda row: change_cell(row.versus_baseline, report.test.metric),
        ),
        Column(
            "size, MB",
            "Weights or graph, tokenizer, configuration; 1 MB is a million bytes",
            lambda row: _megabytes(row.size_bytes),
        ),
        Column("smaller", "Size of the baseline over this one's", lambda row: smaller_cell(row.versus_baseline)),
        *[Column(f"{name}, ms", hint, _quantile(name)) for name, hint in _QUANTILES],
        Column(
            "times faster",
            "Median latency of the baseline over this one's, with its 95% interval",
            lambda row: speed_cell(row.versus_baseline),
        ),
        Column(
            "real texts p50, ms",
            "Median of calls on test rows of their own length",
            lambda row: _p50(row.real_latency_ms),
        ),
    ]
    return _table(f"Quality, size and speed on {target}", columns, report, target)


def detail_table(report: Report, target: str) -> Table:
    """What each step costs besides, and where it says something else than the baseline."""
    columns = [
        Column("rows/s", "Rows that one caller gets through, one call after the other", _rows_per_second),
        Column("tokenize p50, ms", "From texts to the model's inputs", lambda row: _p50(row.tokenize_ms)),
        Column("load, ms", "From the start of loading to a model that can be called", lambda row: _number(row.load_ms)),
        Column(
            "peak memory, MB", "Largest resident memory of the process", lambda row: _megabytes(row.peak_memory_bytes)
        ),
        Column("above start, MB", "The same, less Python and the runtime before loading", _above_start),
        Column(
            "GPU memory, MB", "Taken on the device by loading and calling", lambda row: _megabytes(row.gpu_memory_bytes)
        ),
        Column("parameters, M", "In millions", lambda row: _number(row.parameters, 1e6)),
        Column(
            "GFLOP",
            "Arithmetic of one call at the fixed length, in 10^9 operations",
            lambda row: _number(row.flops, 1e9),
        ),
        Column(
            "share of peak",
            "Least time that this arithmetic takes at the machine's measured peak, over the median latency",
            lambda row: _percent(row.peak_share, 0),
        ),
        Column(
            "calibration error",
            "Expected calibration error: how far the model's confidence is from its accuracy, on average",
            lambda row: _percent(row.calibration_error, 1),
        ),
        Column("agreement", "Share of test rows on which it says what the baseline says", _agreement),
        Column(
            "lost / gained",
            "Test rows that only the baseline has right, and those that only this one has right",
            _flipped,
        ),
        Column("made in, s", "What the step took", lambda row: _number(row.seconds)),
        Column("CPU, s", "Processor time of all threads that the step took", lambda row: _number(row.cpu_seconds)),
        Column(
            "made in, MB", "Largest resident memory of the process meanwhile", lambda row: _megabytes(row.made_in_bytes)
        ),
    ]
    found = _table(f"Cost and agreement on {target}", columns, report, target)
    return replace(found, lines=[replace(line, about="") for line in found.lines])


def ablation_table(ablations: Sequence[Ablation], report: Report) -> Table:
    """What each step was worth on one target."""
    metric = words.METRICS.get(report.test.metric, report.test.metric)
    heads = [
        ("times faster", "Median latency of the chain without the step over that of the whole chain"),
        ("smaller", "Size without the step over the size of the whole chain"),
        ("change, points", f"Percentage points of {metric} that the step brings; negative: it costs them"),
        (f"{metric} without", "Of the chain without the step, with its 95% interval"),
        ("size without, MB", "Of the chain without the step"),
        ("p50 without, ms", "Of the chain without the step"),
    ]
    lines = []
    for found in ablations:
        cells = [
            speed_cell(found.worth),
            smaller_cell(found.worth),
            change_cell(found.worth, report.test.metric),
            with_interval(words.percent(found.quality)),
            _megabytes(found.size_bytes),
            _number(found.latency_ms),
        ]
        reason = "" if found.worth else found.reason or "not measured"
        lines.append(Line(found.step, "", () if reason else cells, reason=reason))
    return Table("The whole chain held against the chain without one step", heads, lines)


def change_cell(comparison: Comparison | None, metric: str) -> Cell:
    """The quality lost or won, with its verdict."""
    if comparison is None:
        return Cell()
    verdict = comparison.quality_verdict
    cell = with_interval(words.change(comparison))
    return cell._replace(verdict=verdict, tone=TONES[verdict], hint=words.quality_words(comparison, metric))


def speed_cell(comparison: Comparison | None) -> Cell:
    """How many times faster, with its verdict."""
    if comparison is None:
        return Cell()
    hint = words.speed_words(comparison)
    if comparison.speedup is None:
        return Cell(verdict="not compared", tone="muted", hint=hint)
    verdict = comparison.speed_verdict
    return with_interval(words.times(comparison.speedup))._replace(verdict=verdict, tone=TONES[verdict], hint=hint)


def smaller_cell(comparison: Comparison | None) -> Cell:
    """How many times smaller."""
    return Cell(f"{comparison.smaller:.1f}x") if comparison else Cell()


def with_interval(told: str) -> Cell:
    """`11.4x (11.1 to 11.6)` in two parts."""
    figure, _, interval = told.partition(" (")
    return Cell(figure, interval.rstrip(")"))


_QUANTILES = (
    ("p50", "Median latency of a call at the fixed length"),
    ("p90", "Nine calls of ten are faster"),
    ("p99", "99 calls of 100 are faster"),
)


def _quantile(name: str) -> Callable[[Row], Cell]:
    return lambda row: _number(getattr(row.latency_ms, name, None))


def _p50(latency: Latency | None) -> Cell:
    return _number(latency.p50 if latency else None)


def _number(value: float | None, unit: float = 1.0) -> Cell:
    return Cell() if value is None else Cell(number(value / unit))


def _megabytes(value: int | None) -> Cell:
    return _number(value, 1e6)


def _percent(share: float | None, digits: int) -> Cell:
    return Cell() if share is None else Cell(f"{100 * share:.{digits}f}%")


def _rows_per_second(row: Row) -> Cell:
    return _number(row.latency_ms.rows_per_second) if row.latency_ms else Cell()


def _above_start(row: Row) -> Cell:
    if row.peak_memory_bytes is None or row.start_memory_bytes is None:
        return Cell()
    return _megabytes(row.peak_memory_bytes - row.start_memory_bytes)


def _agreement(row: Row) -> Cell:
    return _percent(row.versus_baseline.agreement, 1) if row.versus_baseline else Cell()


def _flipped(row: Row) -> Cell:
    found = row.versus_baseline
    if found is None:
        return Cell()
    hint = f"p {found.mcnemar_p:.2g} that both are right equally often (McNemar's exact test)"
    return Cell(f"{found.lost} / {found.gained}", f"p {found.mcnemar_p:.2g}", hint=hint)


def _table(caption: str, columns: Sequence[Column], report: Report, target: str) -> Table:
    """A line a row; columns that say nothing of any row are left out."""
    rows = report.on(target)
    last = rows[-1].step if rows else ""
    measured = [row for row in rows if row.latency_ms is not None]
    kept = [column for column in columns if any(column.cell(row) != Cell() for row in measured)]
    lines = []
    for row in rows:
        lines.append(
            Line(
                row.step,
                row.stage if row.measured_as in row.stage else f"{row.stage}, as {row.measured_as}",
                [column.cell(row) for column in kept] if row in measured else (),
                row.is_baseline,
                row.step == last,
                "" if row in measured else f"{row.status}: {row.reason or 'no reason is known'}",
                "baseline" if row.is_baseline else "",
            )
        )
    return Table(caption, [(column.head, column.hint) for column in kept], lines)
