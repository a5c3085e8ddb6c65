"""Reports against numbers worked out by hand."""

import json

import numpy as np
import pytest

from compress.measurement import Measurement
from compress.recipe import Goal
from compress.report.build import Entry, Report, Row, build_rows, judge, latency
from compress.report.markdown import render_markdown


def measurement(artifact: str, quality: float, samples: list[list[float]], size: int, labels: list[int]) -> Measurement:
    return Measurement(
        artifact=artifact,
        target="cpu",
        status="measured",
        metric="accuracy",
        quality=quality,
        predictions=labels,
        samples_ms=samples,
        load_ms=5,
        size_bytes=size,
        parameters=10,
        peak_memory_bytes=1,
    )


BASE = measurement("base", 0.9, [[10.0, 10.0], [12.0, 30.0]], 8_000_000, [0, 1, 1, 0])
SMALL = measurement("small", 0.875, [[2.0, 2.0], [2.0, 4.0]], 1_000_000, [0, 1, 0, 0])
SKIPPED = Measurement(artifact="bnb", target="cpu", status="skipped", reason="it does not fit", size_bytes=5)


def rows() -> list[Row]:
    entries = [
        Entry("teacher", "finetune", "cpu", "base", "onnx", 3.0),
        Entry("int8", "quantize_onnx_dynamic", "cpu", "small", "onnx", 1.0),
        Entry("nf4", "quantize_bnb", "cpu", "bnb", "torch_bnb", None),
    ]
    found = {(item.artifact, "cpu"): item for item in (BASE, SMALL, SKIPPED)}
    return build_rows(entries, found, {"cpu": "base"}, "accuracy")


def report(goal: Goal | None = None) -> Report:
    built = rows()
    return Report(
        recipe="hand-made",
        seed=0,
        compress_version="0",
        created="today",
        host={"cpu": "abacus", "cores": 2, "isa": [], "versions": {}},
        task={"metric": "accuracy", "test_rows": 4},
        targets={
            "cpu": {"runtime": "onnxruntime", "device": "cpu", "threads": 2, "batch_size": 1, "sequence_length": 8}
        },
        baseline="teacher",
        goal=judge(goal, built, "int8"),
        notes=["one row is odd"],
        rows=built,
    )


def test_the_baseline_is_compared_with_itself() -> None:
    base = rows()[0]
    assert base.is_baseline
    assert (base.speedup, base.drop_pp, base.agreement) == (1.0, 0.0, 1.0)


def test_a_row_is_compared_with_the_baseline() -> None:
    row = rows()[1]
    assert row.speedup == pytest.approx(11.0 / 2.0)
    assert row.drop_pp == pytest.approx(2.5)
    assert row.agreement == 0.75
    assert not row.is_baseline


def test_quantiles_are_those_of_numpy_over_all_rounds() -> None:
    found = latency(BASE)
    assert found.samples == [10.0, 10.0, 12.0, 30.0]
    assert (found.p50, found.p90) == (11.0, pytest.approx(float(np.quantile([10, 10, 12, 30], 0.9))))


def test_a_skipped_row_has_a_reason_and_no_numbers() -> None:
    row = rows()[2]
    assert (row.status, row.reason) == ("skipped", "it does not fit")
    assert row.quality is row.latency_ms is row.speedup is row.drop_pp is None


@pytest.mark.parametrize(
    ("goal", "missed"),
    [
        (Goal(max_drop_pp=2.5, min_speedup=5.5, max_size_mb=1.0), []),
        (Goal(max_drop_pp=2.0), ["drop 2.50 points, at most 2 allowed"]),
        (Goal(min_speedup=6), ["5.50x faster, at least 6x wanted"]),
        (Goal(max_size_mb=0.5), ["1.00 MB, at most 0.5 allowed"]),
    ],
)
def test_the_goal_is_judged_on_the_last_step(goal: Goal, missed: list[str]) -> None:
    verdict = judge(goal, rows(), "int8")
    assert verdict["missed"] == missed
    assert verdict["met"] is (not missed)


def test_a_last_step_that_was_not_measured_misses_the_goal() -> None:
    assert judge(Goal(min_speedup=1), rows(), "nf4")["missed"] == ["'nf4' was not measured on any target"]


def test_without_a_goal_there_is_no_verdict() -> None:
    assert judge(None, rows(), "int8") == {"met": None, "missed": []}


def test_markdown_says_the_verdict_the_numbers_and_the_reasons() -> None:
    text = render_markdown(report(Goal(min_speedup=6)))
    assert "**Goal missed: 5.50x faster, at least 6x wanted.**" in text
    assert "| int8 | 87.50% | +2.50 | 1.00 | 8.0x | 2.00 | 3.40 | 5.5x |" in text
    assert "nf4 on cpu skipped: it does not fit" in text
    assert "Note: one row is odd." in text


def test_json_holds_every_sample_and_reads_back() -> None:
    original = report()
    again = Report.model_validate_json(original.model_dump_json())
    assert again == original
    assert json.loads(original.model_dump_json())["rows"][0]["latency_ms"]["samples"] == [10.0, 10.0, 12.0, 30.0]
