"""Rows as they are shown, and the table that a terminal gets of them."""

import pytest
from rich.console import Console

from compress.cli.report_table import report_table
from compress.report.shown import shown_rows
from tests.report.reports import sample_report


def test_steps_that_are_one_artifact_are_one_row() -> None:
    report = sample_report()
    rows = shown_rows(report, "cpu")
    assert [row.step for row in rows] == ["teacher", "student", "pruned, onnx", "int8"]
    both = rows[2]
    assert both.names == ["pruned", "onnx"]
    assert (both.stage, both.seconds) == ("prune_structured, export_onnx", 25.0)
    assert both.bought == report.rows[2].bought  # what the first one did: the second is the same model
    assert [row.step for row in report.rows] == ["teacher", "student", "pruned", "onnx", "int8"], "the truth stays"


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_keeps_every_figure_and_verdict_at(width: int) -> None:
    report = sample_report()
    found = report.rows[-1].versus_baseline
    assert found is not None
    found.quality_verdict = "worse, within the margin"
    console = Console(width=width)
    with console.capture() as capture:
        console.print(report_table(report, "cpu", width))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert found.speedup is not None
    assert found.end_to_end is not None
    flat = " ".join(text.split())
    for estimate in (found.speedup, found.end_to_end):
        digits = 1 if estimate.value >= 10 else 2
        assert f"{estimate.value:.{digits}f}x" in flat
        assert f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]" in flat
    assert "end to end" in flat
    assert "faster" in flat.partition("int8")[2]
    assert "worse," in flat.partition("int8")[2]
