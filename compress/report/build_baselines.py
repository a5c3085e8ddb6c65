"""Simple baselines as parts of a report, compared with its baseline and with its last step."""

from collections.abc import Sequence

import numpy as np

from compress.measurement import Estimate, Timings
from compress.ops import statistics
from compress.report.build import compare
from compress.report.entries import BaselineEntry
from compress.report.model import Comparison, Latency, Report, Row, SimpleBaseline


def build_baselines(
    entries: Sequence[BaselineEntry], report: Report, last: Row | None, margin_pp: float
) -> list[SimpleBaseline]:
    """The parts of a report for its simple baselines.

    Args:
        report: the report with its rows.
        last: the row of the last step.
    """
    base = next((row for row in report.rows if row.is_baseline and row.quality is not None), None)
    if last is not None and (last.quality is None or last.is_baseline):
        last = None
    return [_build(entry, report, base, last, margin_pp) for entry in entries]


def _build(
    entry: BaselineEntry, report: Report, base: Row | None, last: Row | None, margin_pp: float
) -> SimpleBaseline:
    about = {"name": entry.name, "title": entry.title, "short": entry.short}
    if entry.reason is not None:
        return SimpleBaseline(**about, reason=entry.reason)
    test = report.test
    baseline = SimpleBaseline(
        **about,
        size_bytes=entry.size_bytes,
        parameters=entry.parameters,
        seconds=entry.seconds,
        cpu_seconds=entry.cpu_seconds,
        rows=entry.rows,
        of_rows=entry.of_rows,
        settings=dict(entry.settings),
        quality=test.answers_of(list(entry.predictions)).outcome(test.right_answers, test.metric).score(),
        text_ms=_latency(entry.samples_ms),
        predictions=list(entry.predictions),
    )
    baseline.versus_baseline = None if base is None else _compare(base, baseline, report, margin_pp)
    baseline.versus_last = None if last is None else _compare(last, baseline, report, margin_pp)
    return baseline


def _latency(rounds: Sequence[Sequence[float]]) -> Latency:
    samples = np.array(rounds)
    p50, p90, p99 = np.quantile(samples, [0.5, 0.9, 0.99]).tolist()
    mean = float(samples.mean())
    return Latency(
        p50=p50, p90=p90, p99=p99, mean=mean, rows_per_second=1000 / mean, rounds=[list(turn) for turn in rounds]
    )


def _compare(row: Row, baseline: SimpleBaseline, report: Report, margin_pp: float) -> Comparison:
    """A simple baseline compared with a row; its time from text to label is held against that row's, end to end."""
    latency = baseline.text_ms
    assert latency is not None
    assert baseline.size_bytes is not None
    as_row = Row(
        step=baseline.name,
        stage="",
        artifact="",
        measured_as="",
        target=row.target,
        status="measured",
        size_bytes=baseline.size_bytes,
        latency_ms=latency,
        predictions=baseline.predictions,
    )
    comparison = compare(row, as_row, report.test, margin_pp, timing="elsewhere")
    return comparison.model_copy(update={"end_to_end": _faster(row, latency.timings, report), "processes": 1})


def _faster(row: Row, timings: Timings, report: Report) -> Estimate | None:
    """How many times faster than a row's tokenizer and call together; None if a call there has several texts."""
    whole = row.end_to_end
    if whole is None or report.targets[row.target].get("batch_size", 1) != 1:
        return None
    return statistics.total_speedup(whole, timings, paired=False)
