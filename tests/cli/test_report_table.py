"""A report's table on terminals of several widths: what stands in it, and that the verdicts always do."""

import io

import pytest

from compress.cli.report_table import NARROW, NARROWER, WIDE, report_table
from compress.cli.screen import Screen
from compress.report.model import Report
from tests.report.reports import sample_report

WORST = "worse, within the margin"


def drawn(report: Report, width: int) -> list[str]:
    out = io.StringIO()
    Screen(file=out, width=width, force_terminal=False).print(report_table(report, "cpu", width))
    return out.getvalue().splitlines()


@pytest.fixture
def report() -> Report:
    """With the longest verdicts."""
    found = sample_report()
    for row in found.rows:
        if row.versus_baseline is not None:
            row.versus_baseline.quality_verdict = "worse, within the margin"
            row.versus_baseline.speed_verdict = "inconclusive"
    return found


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (200, WIDE),
        (120, NARROW),
        (80, NARROW),
        (70, NARROWER[0]),
        (60, NARROWER[1]),
        (45, NARROWER[2]),
        (30, NARROWER[3]),
    ],
)
def test_a_table_fits_and_tells_the_verdicts(width: int, names: tuple[str, ...], report: Report) -> None:
    lines = drawn(report, width)
    assert max(map(len, lines)) <= width
    head = next(line for line in lines if "change" in line)
    assert [name for name in WIDE if name in head] == list(names)
    whole = " ".join(" ".join(lines).split())
    if names == WIDE:
        assert whole.count(WORST) == 3
    else:
        assert whole.count("within") == 3
    assert whole.count("inconclusive") == (0 if "faster" not in names else 3)
    for step in ("teacher", "student", "pruned", "int8"):
        assert step in whole


def test_short_verdicts_have_columns_of_their_own_on_120_columns() -> None:
    head = next(line for line in drawn(sample_report(), 120) if "change" in line)
    assert [name for name in WIDE if name in head] == list(WIDE)


def test_a_report_takes_the_width_of_its_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    from compress.cli.console import print_report

    monkeypatch.setenv("COLUMNS", "80")
    print_report(report)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "no worse: by less than 1 point" in " ".join(shown.split())


def test_a_target_that_nothing_was_measured_on_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from compress.cli.console import print_report

    steps = ("teacher", "student", "pruned", "onnx", "int8")
    print_report(sample_report(failed=dict.fromkeys(steps, "no such device")))
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "cpu: onnxruntime on cpu, 2 threads, batch 1, 128 tokens: failed: no such device"
