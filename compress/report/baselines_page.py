"""The simple baselines on the report's page: their table, and the chart that has steps and baselines on one scale."""

from collections.abc import Sequence
from statistics import median

from compress.answers import metric_title
from compress.report import words
from compress.report.baselines import choice_words, fitted
from compress.report.figure import Chart
from compress.report.model import Latency, Report, Row, SimpleBaseline
from compress.report.page_cells import (
    Cell,
    change_cell,
    flipped_cell,
    median_cell,
    megabytes_cell,
    number_cell,
    smaller_cell,
    with_interval,
)
from compress.report.page_tables import Line, PageTable
from compress.report.shown import ShownRow, shown_rows
from compress.report.tradeoff import tradeoff


def baselines_table(report: Report) -> PageTable | None:
    """The table of the simple baselines, the best first; None if there are none."""
    if not report.baselines:
        return None
    metric = metric_title(report.test.metric)
    heads = [
        ("change, points", f"Points of {metric} against {report.baseline}; negative: the baseline is worse"),
        ("against the last step", f"Points of {metric} against the last step; negative: the baseline is worse"),
        (metric, "On all test rows, with its 95% interval"),
        ("lost / gained", words.flips_words(report.test)),
        ("size, MB", "All that it answers from: weights and n-grams"),
        ("smaller", f"Size of {report.baseline} over this one's"),
        ("text to label p50, ms", "Median time of one text, in a process of its own"),
        ("times faster", f"Tokenizer and call of {report.baseline} over the time from text to label, timed apart"),
        ("fitted in CPU, s", "Processor time, with the choice of its settings"),
        ("how", "What was chosen, and by what"),
    ]
    lines = [Line(one.short, "", _cells(one, report)) for one in fitted(report)]
    lines += [Line(one.short, "", (), reason=one.reason or "") for one in report.baselines if one.quality is None]
    return PageTable("Simple baselines", heads, lines, first="baseline")


def _cells(baseline: SimpleBaseline, report: Report) -> list[Cell]:
    against = baseline.versus_baseline
    return [
        change_cell(against, report.test.metric),
        change_cell(baseline.versus_last, report.test.metric),
        with_interval(words.percent(baseline.quality)),
        flipped_cell(against, report.test),
        megabytes_cell(baseline.size_bytes),
        smaller_cell(against),
        median_cell(baseline.text_ms),
        with_interval(words.times(against.end_to_end)) if against else Cell(),
        number_cell(baseline.cpu_seconds),
        Cell(choice_words(baseline), is_text=True),
    ]


def baselines_chart(report: Report) -> Chart | None:
    """The chart of quality against the time from text to label; None where steps were not timed text by text."""
    target = next((row.target for row in report.rows if row.is_baseline and row.end_to_end), None)
    if target is None or report.targets[target].get("batch_size", 1) != 1:
        return None
    steps = [_whole(row) for row in shown_rows(report, target) if row.quality is not None and row.end_to_end]
    baselines = [_as_row(one, target) for one in fitted(report) if one.parameters != 1]
    if not baselines or not steps:
        return None
    chart = tradeoff([*baselines, *steps], report, "time from text to label, ms (median of single texts)")
    metric = metric_title(report.test.metric)
    return Chart(
        "baselines",
        f"{metric[:1].upper()}{metric[1:]} against time from text to label",
        chart.summary,
        "Tokenizer and model together for the steps, on test rows of their own length; the whole of it for the simple "
        f"baselines, which were timed apart. {chart.caption}",
        chart.picture,
        is_wide=True,
        wide_caption=chart.wide_caption,
        narrow_caption=chart.narrow_caption,
    )


def _whole(row: ShownRow) -> ShownRow:
    """A row whose latency is that of tokenizer and call together."""
    timed = row.end_to_end
    assert timed is not None
    changes = {"latency_ms": _latency(timed.samples_ms, timed.process_of_round), "versus_baseline": None}
    return row.model_copy(update=changes)


def _latency(rounds: Sequence[Sequence[float]], process_of_round: Sequence[int]) -> Latency:
    samples = sorted(sample for turn in rounds for sample in turn)
    mean = sum(samples) / len(samples)
    return Latency(
        p50=median(samples),
        p90=samples[int(0.9 * (len(samples) - 1))],
        p99=samples[int(0.99 * (len(samples) - 1))],
        mean=mean,
        rows_per_second=1000 / mean,
        rounds=[list(turn) for turn in rounds],
        process_of_round=list(process_of_round),
    )


def _as_row(baseline: SimpleBaseline, target: str) -> ShownRow:
    """A baseline in the form of a row, for the chart."""
    row = Row(
        step=baseline.short,
        stage="",
        artifact=baseline.name,
        measured_as="",
        target=target,
        status="measured",
        quality=baseline.quality,
        size_bytes=baseline.size_bytes or 0,
        latency_ms=baseline.text_ms,
    )
    return ShownRow.model_construct(**(dict(row) | {"names": [baseline.short]}))
