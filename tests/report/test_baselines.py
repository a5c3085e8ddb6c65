"""Simple baselines in a report: what they are held against, and what is said of them wherever it is shown."""

import io
import re

import numpy as np
import pytest

from compress.cli.baselines_table import baselines_table
from compress.cli.screen import Screen
from compress.measurement import Estimate
from compress.report import baselines
from compress.report.baselines_page import baselines_chart
from compress.report.build_baselines import build_baselines
from compress.report.entries import BaselineEntry
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from compress.report.model import Report
from tests.report.reports import sample_report


def answered(report: Report, wrong: int) -> list[int]:
    """Answers of which so many are wrong: first on rows that the last step has wrong."""
    truth = np.array(report.test.truth)
    missed = np.flatnonzero(np.array(report.rows[-1].predictions) != truth)
    order = [*missed, *np.setdiff1d(np.arange(len(truth)), missed)]
    truth[order[:wrong]] = (truth[order[:wrong]] + 1) % len(report.test.labels)
    return truth.tolist()


def entry(report: Report, name: str, wrong: int, **changes) -> BaselineEntry:
    made = {
        "title": {"words": "a linear model on words", "characters": "a linear model on characters"}.get(name, name),
        "short": f"linear on {name}",
        "size_bytes": 1_000_000,
        "parameters": 200_000,
        "cpu_seconds": 4.2,
        "rows": 900,
        "of_rows": 900,
        "settings": {"c": 3.0, "folds": 3, "ngrams": 12_345},
        "predictions": answered(report, wrong),
        "samples_ms": [[0.05] * 10] * 20,
    }
    return BaselineEntry(f"linear_{name}", **{**made, **changes})


def with_baselines(*wrong: int, **changes) -> Report:
    """A report whose last step has 9 of 200 rows wrong, and its baseline 5; baselines with so many wrong."""
    report = sample_report()
    entries = [
        entry(report, name, number, **changes) for name, number in zip(("words", "characters"), wrong, strict=False)
    ]
    report.baselines = build_baselines(entries, report, report.rows[-1], 1.0)
    return report


def test_each_is_held_against_the_baseline_and_the_last_step():
    report = with_baselines(20)
    (found,) = report.baselines
    assert found.quality.value == 0.9
    for comparison, row in ((found.versus_baseline, report.rows[0]), (found.versus_last, report.rows[-1])):
        assert comparison.against == row.step
        assert comparison.drop_pp.value == pytest.approx(100 * (row.quality.value - 0.9))
        assert comparison.lost - comparison.gained == round(200 * (row.quality.value - 0.9))
        assert comparison.smaller == row.size_bytes / 1_000_000
        whole = np.add(row.real_latency_ms.rounds, row.tokenize_ms.rounds)
        assert comparison.end_to_end.value == pytest.approx(whole.mean() / 0.05)
        assert (comparison.speedup, comparison.end_to_end.low) == (None, None)
    assert found.text_ms.p50 == 0.05
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_chain_of_the_baseline_alone_has_no_last_step():
    report = sample_report()
    (found,) = build_baselines([entry(report, "words", 3)], report, report.rows[0], 1.0)
    assert found.versus_last is None
    assert found.versus_baseline is not None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((100, 60), None),
        ((0, 20), "a linear model on words is as good here as teacher (.*), and better here than int8 (.*)"),
        ((20, 0), "a linear model on characters is as good here as teacher (.*), and better here than int8 (.*)"),
        ((9, 30), None),  # 200 rows cannot tell 2 points
    ],
)
def test_the_verdict_names_the_best_that_has_reached_a_step(wrong, said):
    report = with_baselines(*wrong)
    sentences = baselines.verdicts(report)
    assert len(sentences) == (said is not None)
    for sentence in sentences:
        assert re.match(said, sentence)
        assert sentence.endswith("`fit_linear` makes one, on tokens, that ships")


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (("no worse", "no worse"), "is as good here as teacher (.*), and as good here as int8 "),
        (("no worse", "better"), "is as good here as teacher (.*), and better here than int8 "),
        (("worse", "better"), "is better here than int8 "),
        (("worse, within the margin", "no worse"), "is as good here as int8 "),
        (("inconclusive", "worse"), None),
    ],
)
def test_only_verdicts_that_are_sure_are_said(verdicts, said):
    report = with_baselines(9)
    (found,) = report.baselines
    found.versus_baseline.quality_verdict, found.versus_last.quality_verdict = verdicts
    sentences = baselines.verdicts(report)
    assert len(sentences) == (said is not None)
    for sentence in sentences:
        assert re.match(f"a linear model on words {said}", sentence)
        for shown in (render_html(report), render_markdown(report)):
            assert sentence.partition(" (")[0].removeprefix("a ") in shown


def test_the_commonest_label_is_no_model_to_write():
    report = sample_report()
    commonest = entry(report, "x", 0, title="the commonest label")
    commonest = BaselineEntry(**{**vars(commonest), "name": "commonest_label"})
    report.baselines = build_baselines([commonest], report, report.rows[-1], 1.0)
    (sentence,) = baselines.verdicts(report)
    assert sentence.startswith("the commonest label is as good here as teacher (")
    assert "fit_linear" not in sentence


def test_one_that_failed_says_why_and_the_others_have_their_figures():
    report = sample_report()
    reason = "7 training rows are fewer than the 8 labels that a linear model is to tell apart"
    failed = BaselineEntry("linear_words", "a linear model on words", "linear on words", reason=reason)
    report.baselines = build_baselines([failed, entry(report, "characters", 20)], report, report.rows[-1], 1.0)
    assert baselines.reasons(report) == [f"no linear on words: {reason}"]
    for shown in (render_html(report), render_markdown(report)):
        assert reason in shown
        assert "90.00%" in shown


def test_markdown_and_page_have_all_figures():
    report = with_baselines(20, 30)
    markdown, page = render_markdown(report), render_html(report)
    (row,) = [line for line in markdown.splitlines() if line.startswith("| linear on words")]
    (found, _) = report.baselines
    assert row.split("|")[2].strip().startswith("90.00% (")
    assert f"| 1.00 | 0.0500 | {found.versus_baseline.end_to_end.value:.1f}x | 4.2 |" in row
    assert "They learned from 900 rows" in markdown
    assert "12,345 n-grams, C 3 by 3-fold cross-validation" in page
    assert 'href="#baselines"' in page


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"c": 1.0, "folds": 0, "ngrams": 12}, "12 n-grams, C 1 (too few rows to choose it)"),
        ({"share": 0.52}, "52.0% of the training rows"),
        ({}, ""),
    ],
)
def test_the_choice_is_told(settings, said):
    report = with_baselines(20, settings=settings)
    assert baselines.choice_words(report.baselines[0]) == said


def test_rows_that_were_drawn_are_told():
    assert "900 of 1,000 rows" not in baselines.about(with_baselines(20))
    assert "from 900 rows of 1,000, drawn by the seed:" in baselines.about(with_baselines(20, of_rows=1000))


def test_the_chart_has_steps_and_baselines_by_their_time_from_text_to_label():
    report = with_baselines(20, 30)
    chart = baselines_chart(report)
    assert len(chart.picture.points) == 2 + 4  # pruned and onnx are one artifact
    assert "linear on words 90.00%" in chart.summary
    assert "at 0.0500 ms" in chart.summary
    teacher = report.rows[0]
    whole = np.median(np.add(teacher.real_latency_ms.rounds, teacher.tokenize_ms.rounds))
    assert f"teacher {teacher.quality.value:.2%}" in chart.summary
    assert f"at {whole:.2f} ms" in chart.summary
    report.targets["cpu"]["batch_size"] = 8
    assert baselines_chart(report) is None


@pytest.mark.parametrize("width", [200, 120, 80, 60, 40])
def test_the_table_fits_and_tells_the_verdicts(width):
    report = with_baselines(20, 30)
    for found in report.baselines:
        found.versus_baseline.quality_verdict = "worse, within the margin"
    out = io.StringIO()
    Screen(file=out, width=width, force_terminal=False).print(baselines_table(report, width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    whole = " ".join(" ".join(lines).split())
    assert whole.count("within") == 2
    assert "words" in whole
    assert ("0.0500" in whole) == (width >= 80)
    assert ("end to end" in whole) == (width >= 120)
    assert baselines_table(sample_report(), width) is None


@pytest.mark.parametrize(("ratio", "said"), [(2776.0, "2,776x faster"), (1.0, "1.00x faster"), (0.25, "4.00x slower")])
def test_a_baseline_that_takes_longer_is_called_slower(ratio, said):
    report = with_baselines(0, 20)
    for found in report.baselines:
        for comparison in (found.versus_baseline, found.versus_last):
            comparison.end_to_end = Estimate(value=ratio)
    assert f", {said} end to end)" in baselines.verdicts(report)[0]
