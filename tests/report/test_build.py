"""Rows out of measurements whose figures can be worked out by hand."""

import json

import numpy as np
import pytest

from compress.measurement import Conditions, Measured, Measurement
from compress.report.build import FLIPS, TEXT, build_ablations, build_rows, latency
from compress.report.entries import AblationEntry, Entry
from compress.report.model import HeldOut, Report, Row
from tests.report.reports import sample_report

LABELS = ["no", "yes"]
TRUTH = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
BASE = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]  # 9 of 10 right
SMALL = [0, 0, 1, 0, 1, 1, 1, 1, 1, 0]  # 7 of 10: two lost
SAMPLES = [[10.0, 10.0], [12.0, 30.0], [9.0, 11.0]]
HALF = [[5.0, 5.0], [6.0, 15.0], [4.5, 5.5]]


def measurement(artifact: str, predictions: list[int], samples: list[list[float]], size: int) -> Measurement:
    return Measurement(
        artifact=artifact,
        target="cpu",
        status="measured",
        predictions=predictions,
        confidences=[0.75 + number / 100 for number in range(10)],
        row_tokens=[3, 3, 4, 5, 6, 7, 8, 9, 10, 20],
        batch_size=4,
        samples_ms=samples,
        real_samples_ms=samples,
        tokenize_samples_ms=samples,
        process_of_round=list(range(len(samples))),
        load_ms=5,
        size_bytes=size,
        parameters=10,
        peak_memory_bytes=1,
        flops={"fp32": 1e6, "int8": 1e6},
    )


SKIPPED = Measurement(artifact="bnb", target="cpu", status="skipped", reason="it does not fit", size_bytes=5)
MEASURED = Measured(
    [measurement("base", BASE, SAMPLES, 8_000_000), measurement("small", SMALL, HALF, 1_000_000), SKIPPED],
    {"cpu": Conditions(peak_gflops={"fp32": 1.0, "int8": 4.0})},
    "today",
    {},
)
ENTRIES = [
    Entry("teacher", "finetune", "cpu", "base", "onnx", 3.0),
    Entry("int8", "quantize_onnx_dynamic", "cpu", "small", "onnx", 1.0, parent="teacher"),
    Entry("nf4", "quantize_bnb", "cpu", "bnb", "torch_bnb", None, parent="teacher"),
]
TEXTS = [f"text {number}" for number in range(9)] + ["x" * 1000]


def held_out(metric: str = "accuracy") -> HeldOut:
    return HeldOut(metric=metric, labels=LABELS, truth=TRUTH, key="k")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return build_rows(ENTRIES, MEASURED, {"cpu": "base"}, held_out(), TEXTS, margin_pp=1.0)


def test_the_baseline_is_compared_with_nothing(rows: list[Row]) -> None:
    assert rows[0].is_baseline
    assert rows[0].versus_baseline is rows[0].bought is None
    assert [row.is_baseline for row in rows] == [True, False, False]


def test_quality_has_wilsons_interval(rows: list[Row]) -> None:
    quality = rows[0].quality
    assert quality is not None
    assert quality.value == 0.9
    assert (quality.low, quality.high) == pytest.approx((0.5958499732, 0.9821237869), abs=1e-9)  # Wilson, 9 of 10


def test_a_row_is_held_against_the_baseline(rows: list[Row]) -> None:
    found = rows[1].versus_baseline
    assert found is not None
    assert found.against == "teacher"
    assert found.speedup is not None
    assert found.speedup.value == 2.0
    assert (found.speedup.low, found.speedup.high) == pytest.approx((2.0, 2.0), rel=1e-12)
    assert (found.speed_verdict, found.processes) == ("inconclusive", 3)  # three processes are too few to be sure
    assert (found.drop_pp.value, found.lost, found.gained, found.rows) == (20.0, 2, 0, 10)
    assert found.agreement == 0.8
    assert found.smaller == 8.0
    assert found.mcnemar_p == 0.5  # two of two discordant rows on one side: 2 * (1/2)**2
    assert found.quality_verdict == "inconclusive"  # ten rows tell little
    assert rows[1].bought == found


@pytest.mark.parametrize(
    ("process_of_round", "low", "verdict", "processes"),
    [
        ([0, 1, 2, 3, 4], 2.0, "faster", 5),
        ([0, 0, 1, 1, 2], 2.0, "inconclusive", 3),
        ([0, 0, 0, 1, 1], None, "inconclusive", 2),
        ([], None, "inconclusive", 1),  # a measurement from before there were several processes
    ],
)
def test_only_several_processes_allow_a_verdict_on_speed(
    process_of_round: list[int], low: float | None, verdict: str, processes: int
) -> None:
    samples = [[10.0, 11.0]] * 5
    both = [
        measurement("base", BASE, samples, 8).model_copy(update={"process_of_round": process_of_round}),
        measurement("small", SMALL, [[5.0, 5.5]] * 5, 1).model_copy(update={"process_of_round": process_of_round}),
    ]
    measured = Measured(both, MEASURED.conditions, "today", {})
    rows = build_rows(ENTRIES[:2], measured, {"cpu": "base"}, held_out(), TEXTS, margin_pp=1.0)
    found = rows[1].versus_baseline
    assert found is not None
    assert found.speedup is not None
    assert (found.speedup.value, found.speedup.low) == (2.0, low and pytest.approx(low, rel=1e-12))
    assert (found.speed_verdict, found.processes) == (verdict, processes)


def test_latency_is_numpys_quantiles_over_all_rounds() -> None:
    found = latency(SAMPLES, measurement("base", BASE, SAMPLES, 8))
    flat = [10, 10, 12, 30, 9, 11]
    assert [found.p50, found.p90, found.p99] == pytest.approx(np.quantile(flat, [0.5, 0.9, 0.99]).tolist())
    assert found.rows_per_second == pytest.approx(4000 / np.mean(flat))
    assert found.rounds == SAMPLES


def test_the_floor_is_what_the_arithmetic_takes_at_the_peak(rows: list[Row]) -> None:
    assert rows[0].flops == 2e6
    assert rows[0].floor_ms == pytest.approx(1.0 + 0.25)  # 10^6 operations at 10^9 a second, and at 4 x 10^9
    assert rows[0].peak_share == pytest.approx(1.25 / 10.5)


def test_a_format_without_a_measured_peak_has_no_floor() -> None:
    unknown = Measured(MEASURED.measurements, {"cpu": Conditions(peak_gflops={"fp32": 1.0})}, "today", {})
    row = build_rows(ENTRIES[:1], unknown, {"cpu": "base"}, held_out(), TEXTS, 1.0)[0]
    assert row.flops is row.floor_ms is row.peak_share is None


def test_quality_by_class_counts_each_class_alone(rows: list[Row]) -> None:
    no, yes = rows[1].by_class
    assert (no.name, no.rows, no.quality.value, no.baseline_quality) == ("no", 5, 0.6, 0.8)
    assert (yes.name, yes.rows, yes.quality.value, yes.baseline_quality) == ("yes", 5, 0.8, 1.0)
    assert no.f1 == pytest.approx(2 * 3 / (5 + 4))
    assert yes.f1 == pytest.approx(2 * 4 / (5 + 6))


def test_quality_by_length_splits_all_rows_once(rows: list[Row]) -> None:
    slices = rows[1].by_length
    assert sum(part.rows for part in slices) == 10
    assert [part.name for part in slices] == ["3 to 4 tokens", "5 to 6 tokens", "7 to 8 tokens", "9 to 20 tokens"]
    assert [part.rows for part in slices] == [3, 2, 2, 3]
    assert slices[0].quality.value == pytest.approx(2 / 3)


def test_rows_of_one_length_are_one_part() -> None:
    same = measurement("base", BASE, SAMPLES, 1).model_copy(update={"row_tokens": [7] * 10})
    only = Measured([same], MEASURED.conditions, "today", {})
    row = build_rows(ENTRIES[:1], only, {"cpu": "base"}, held_out(), TEXTS, 1.0)[0]
    assert [(part.name, part.rows) for part in row.by_length] == [("7 tokens", 10)]


def test_flips_are_told_with_their_texts_the_surest_first(rows: list[Row]) -> None:
    flips = rows[1].flips
    assert [(flip.row, flip.truth, flip.before, flip.after) for flip in flips] == [
        (9, "yes", "yes", "no"),
        (2, "no", "no", "yes"),
    ]
    assert flips[0].confidence == pytest.approx(0.84)
    assert flips[0].text == "x" * TEXT + "…"
    assert all(flip.is_loss for flip in flips)


def test_flips_are_not_without_end() -> None:
    many = 3 * FLIPS
    test = HeldOut(metric="accuracy", labels=LABELS, truth=[0] * many, key="k")

    def measured_with(artifact: str, label: int) -> Measurement:
        whole = measurement(artifact, [label] * many, SAMPLES, 1)
        return whole.model_copy(update={"confidences": [0.9] * many, "row_tokens": [3] * many})

    measured = Measured([measured_with("base", 0), measured_with("small", 1)], MEASURED.conditions, "today", {})
    row = build_rows(ENTRIES[:2], measured, {"cpu": "base"}, test, ["t"] * many, 1.0)[1]
    assert row.versus_baseline is not None
    assert (row.versus_baseline.lost, len(row.flips)) == (many, FLIPS)


def test_macro_f1_is_scored_and_compared_by_resampling_rows() -> None:
    row = build_rows(ENTRIES[:2], MEASURED, {"cpu": "base"}, held_out("f1_macro"), TEXTS, 1.0)[1]
    assert row.quality is not None
    expected = np.mean([2 * 3 / 9, 2 * 4 / 11])
    assert row.quality.value == pytest.approx(expected)
    assert row.quality.low is not None
    assert row.quality.high is not None
    assert row.quality.low < expected < row.quality.high
    assert row.versus_baseline is not None
    base = np.mean([2 * 4 / 9, 2 * 5 / 11])
    assert row.versus_baseline.drop_pp.value == pytest.approx(100 * (base - expected))


def test_a_skipped_row_has_a_reason_and_no_numbers(rows: list[Row]) -> None:
    row = rows[2]
    assert (row.status, row.reason) == ("skipped", "it does not fit")
    assert row.quality is row.latency_ms is row.versus_baseline is row.bought is None


def test_without_a_measured_baseline_nothing_is_compared() -> None:
    row = build_rows(ENTRIES, MEASURED, {"cpu": "bnb"}, held_out(), TEXTS, 1.0)[1]
    assert row.quality is not None
    assert row.versus_baseline is None
    assert row.flips == []


@pytest.mark.parametrize("interleaved", [True, False])
def test_latencies_are_compared_within_the_newest_session_that_timed_both(interleaved: bool) -> None:
    slow = [[30.0, 33.0]] * 5  # in the second session the machine is three times as slow
    numbers = {"process_of_round": [0, 1, 2, 3, 4]}
    base = measurement("base", BASE, [[10.0, 11.0]] * 5, 8).model_copy(update={**numbers, "session": 1})
    again = measurement("base", BASE, slow, 8).model_copy(update={**numbers, "session": 2})
    small = measurement("small", SMALL, [[15.0, 16.5]] * 5, 1).model_copy(update={**numbers, "session": 2})
    shown, earlier = ([again, small], [base]) if interleaved else ([base, small], [])
    measured = Measured(shown, MEASURED.conditions, "today", {}, in_other_sessions=earlier)
    rows = build_rows(ENTRIES[:2], measured, {"cpu": "base"}, held_out(), TEXTS, margin_pp=1.0)
    assert [row.session for row in rows] == [2 if interleaved else 1, 2]
    found = rows[1].versus_baseline
    assert found is not None
    assert found.speedup is not None
    expected = (2.0, "faster", 2) if interleaved else (pytest.approx(2 / 3), "inconclusive", 0)
    assert (found.speedup.value, found.speed_verdict, found.session) == expected


def test_a_row_may_be_compared_by_other_latencies_than_it_shows() -> None:
    numbers = {"process_of_round": [0, 1, 2, 3, 4]}
    base = measurement("base", BASE, [[10.0, 11.0]] * 5, 8).model_copy(update={**numbers, "session": 1})
    again = measurement("base", BASE, [[30.0, 33.0]] * 5, 8).model_copy(update={**numbers, "session": 2})
    small = measurement("small", SMALL, [[5.0, 5.5]] * 5, 1).model_copy(update={**numbers, "session": 1})
    measured = Measured([again, small], MEASURED.conditions, "today", {}, in_other_sessions=[base])
    rows = build_rows(ENTRIES[:2], measured, {"cpu": "base"}, held_out(), TEXTS, margin_pp=1.0)
    assert rows[0].latency_ms is not None
    assert (rows[0].latency_ms.p50, rows[0].session) == (31.5, 2)
    for found in (rows[1].versus_baseline, rows[1].bought):
        assert found is not None
        assert found.speedup is not None
        assert (found.speedup.value, found.speed_verdict, found.session) == (2.0, "faster", 1)


def test_a_step_is_worth_what_the_chain_without_it_lacks(rows: list[Row]) -> None:
    entries = [AblationEntry("int8", "cpu", "base"), AblationEntry("onnx", "cpu", reason="int8 reads onnx")]
    int8, onnx = build_ablations(entries, MEASURED, rows, "int8", held_out(), 1.0)
    assert int8.worth is not None
    assert int8.worth.speedup is not None
    assert (int8.worth.speedup.value, int8.worth.smaller, int8.worth.drop_pp.value) == (2.0, 8.0, 20.0)
    assert int8.worth.against == "without int8"
    assert int8.latency_ms == 10.5
    assert (onnx.worth, onnx.reason) == (None, "int8 reads onnx")


def test_a_report_reads_back_with_every_sample() -> None:
    from tests.report.reports import sample_report

    original = sample_report()
    again = Report.model_validate_json(original.model_dump_json())
    assert again == original
    assert again.rows[0].latency_ms is not None
    assert np.shape(again.rows[0].latency_ms.rounds) == (20, 10)


def test_end_to_end_is_the_tokenizer_and_the_call_of_the_same_rows(rows: list[Row]) -> None:
    report = sample_report()
    teacher, student = report.rows[:2]
    assert teacher.real_latency_ms is not None
    assert teacher.tokenize_ms is not None
    both = np.array(teacher.real_latency_ms.rounds) + np.array(teacher.tokenize_ms.rounds)
    assert teacher.hours_for_a_million == pytest.approx(both.mean() * 1e6 / 1000 / 3600)
    assert student.versus_baseline is not None
    found = student.versus_baseline.end_to_end
    assert found is not None
    assert student.end_to_end is not None
    assert found.value == pytest.approx(both.sum() / np.sum(student.end_to_end.samples_ms))
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    calls = rows[1].real_latency_ms
    assert calls is not None
    assert rows[1].hours_for_a_million == pytest.approx(
        2 * calls.mean / 4 / 3.6
    )  # four rows a call, and as long for their tokens


def test_a_report_from_before_reads_and_says_worse_where_zero_is_left_out() -> None:
    content = json.loads(sample_report().model_dump_json())
    for row in content["rows"]:
        row.pop("token_parameters")
        if row["versus_baseline"]:
            row["versus_baseline"].pop("end_to_end")
            row["versus_baseline"]["quality_verdict"] = "no worse"
            row["versus_baseline"]["drop_pp"] = {"value": 0.8, "low": 0.1, "high": 1.0}
    found = Report.model_validate(content).rows[1].versus_baseline
    assert found is not None
    assert (found.end_to_end, found.quality_verdict) == (None, "worse, within the margin")
