"""The page's pictures: places worked out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest

from compress.report.charts import make_charts
from compress.report.figure import Chart, Mark, Plane, Rows, amounts, linear, log_ticks, number, plain
from compress.report.labels import Box, place_labels
from compress.report.model import Report
from compress.report.shown import shown_rows
from compress.report.tradeoff import front, spread
from tests.report.reports import sample_report

ALL = ["tradeoff", "latencies", "sizes", "latency-bought", "quality-bought", "classes", "lengths"]


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


def named(report: Report, target: str = "cpu") -> dict[str, Chart]:
    return {chart.name: chart for chart in make_charts(report, target)}


def rows(chart: Chart) -> Rows:
    assert isinstance(chart.picture, Rows)
    return chart.picture


def marks(chart: Chart, kind: str) -> list[Mark]:
    return [mark for row in rows(chart).rows for mark in row.marks if mark.kind == kind]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ALL),
        ({"targets": ("cpu", "laptop")}, ALL),
        ({"steps": ("teacher",)}, ["tradeoff", "latencies", "sizes", "classes", "lengths"]),
        ({"failed": {"int8": "it died"}}, ALL),
        ({"steps": ("teacher", "int8"), "failed": {"teacher": "a", "int8": "b"}}, ["sizes"]),
        ({"labels": [f"class {number}" for number in range(70)]}, ALL),
    ],
)
def test_every_mark_stands_within_its_picture(options, names):
    report = sample_report(**options)
    for target in report.targets:
        charts = make_charts(report, target)
        assert [chart.name for chart in charts] == names
        for chart in charts:
            assert chart.summary
            assert chart.caption
            if isinstance(chart.picture, Plane):
                places = [place for point in chart.picture.points for place in (point.x, point.y, *point.level)]
            else:
                found = [mark for row in chart.picture.rows for mark in row.marks]
                places = [mark.left for mark in found] + [mark.left + mark.width for mark in found]
                assert all(row.marks and row.note for row in chart.picture.rows)
                assert len(chart.picture.scale.ticks) >= 2
            assert all(0 <= place <= 100.01 for place in places)


def test_the_waterfall_of_latency_leads_from_the_baseline_to_the_last_step(report):
    chart = named(report)["latency-bought"]
    scale, bars = rows(chart).scale, marks(chart, "bar")
    medians = [row.latency_ms.p50 for row in shown_rows(report, "cpu")]
    assert [row.name for row in rows(chart).rows] == ["teacher", "student", "pruned, onnx", "int8", "together"]
    assert (bars[0].left, bars[0].right) == (0, scale.at(medians[0]))
    for bar, (before, after) in zip(bars[1:-1], pairwise(medians), strict=True):
        assert (bar.left, bar.right) == (scale.at(after), scale.at(before))
    assert (bars[-1].left, bars[-1].right) == (0, scale.at(medians[-1]))


def test_the_waterfall_of_quality_adds_up_to_the_change_against_the_baseline(report):
    chart = named(report)["quality-bought"]
    scale, bars, whiskers = rows(chart).scale, marks(chart, "bar"), marks(chart, "whisker")
    total, student = report.rows[-1].versus_baseline.change_pp, report.rows[1].bought.change_pp
    assert (bars[-1].left, bars[-1].right) == (scale.at(total.value), scale.at(0))
    assert bars[-2].left == pytest.approx(bars[-1].left, abs=0.02), "the last step ends where all of them do"
    assert (whiskers[0].left, whiskers[0].right) == (scale.at(student.low), scale.at(student.high))
    assert (whiskers[-1].left, whiskers[-1].right) == (scale.at(total.low), scale.at(total.high))


def test_every_difference_stands_beside_its_verdict_and_interval(report):
    lines = rows(named(report)["quality-bought"]).rows
    for row, line in zip(shown_rows(report, "cpu")[1:], lines[1:], strict=False):
        assert line.note == row.bought.quality_verdict
        assert f"({-row.bought.drop_pp.high:+z.2f} to {-row.bought.drop_pp.low:+z.2f})" in line.small


def test_without_a_compared_speed_there_is_no_waterfall_of_latency():
    report = sample_report()
    report.rows[2].bought.speedup = None
    assert "latency-bought" not in named(report)
    assert "quality-bought" in named(report)


def test_a_chain_that_was_not_compared_with_the_baseline_claims_no_sum():
    chart = named(sample_report(failed={"student": "it died"}))["quality-bought"]
    assert [row.name for row in rows(chart).rows] == ["pruned, onnx", "int8", "together"]
    assert rows(chart).rows[-1].note == "95.50%"


def test_a_box_holds_the_middle_half_and_points_lie_beyond_its_whiskers(report):
    chart = named(report)["latencies"]
    scale, line = rows(chart).scale, rows(chart).rows[0]
    samples = np.ravel(report.rows[0].latency_ms.rounds)
    low, middle, high = np.quantile(samples, [0.25, 0.5, 0.75])
    found = {kind: [mark for mark in line.marks if mark.kind == kind] for kind in ("box", "median", "whisker", "spot")}
    assert (found["box"][0].left, found["box"][0].right) == (scale.at(low), scale.at(high))
    assert found["median"][0].left == scale.at(middle)
    inside = samples[(samples >= low - 1.5 * (high - low)) & (samples <= high + 1.5 * (high - low))]
    assert (found["whisker"][0].left, found["whisker"][0].right) == (scale.at(inside.min()), scale.at(inside.max()))
    beyond = {scale.at(value) for value in samples if value not in inside}
    assert beyond
    assert {mark.left for mark in found["spot"]} == beyond


def test_the_front_holds_what_nothing_beats(report):
    rows = [row.model_copy(deep=True) for row in report.rows]
    teacher, student, pruned, _, int8 = rows
    student.quality = pruned.quality.model_copy(update={"value": 0.9})
    assert front(rows) == [int8, pruned, teacher]
    assert [row.step for row in front([teacher])] == ["teacher"]


def test_the_level_bar_holds_the_middle_of_the_rounds_medians(report):
    row = report.rows[0]
    medians = np.median(row.latency_ms.rounds, axis=1)
    assert spread(row) == pytest.approx(np.quantile(medians, [0.1, 0.9]))


@pytest.mark.parametrize(("values", "is_log"), [([1.0, 10.0], False), ([1.0, 10.1], True), ([0.0, 1.0], False)])
def test_a_scale_is_logarithmic_past_a_ratio_of_ten(values, is_log):
    found = amounts("ms", values)
    assert found.is_log is is_log
    assert found.low <= (math.log10(values[0]) if is_log else values[0])
    assert found.high > (math.log10(values[1]) if is_log else values[1])
    assert 0 <= found.at(values[0]) < found.at(values[1]) < 100
    assert found.at(-1.0) == 0, "what is beyond stands at the end"


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 91.4], ["0", "20", "40", "60", "80"]),
        ([-7.2, 0], ["-6", "-4", "-2", "0"]),
        ([0.2, 0.2], ["0.2", "0.25", "0.3", "0.35", "0.4"]),
        ([0, 0], ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ],
)
def test_numbers_along_a_scale_are_round(values, labels):
    assert [tick.label for tick in linear("", values).ticks] == labels


@pytest.mark.parametrize(
    ("ends", "labels"), [((0, 1.5), "1 2 5 10 20"), ((-1, 2), "0.1 0.3 1 3 10 30 100"), ((-3, 3), None)]
)
def test_numbers_along_a_logarithmic_scale_have_room(ends, labels):
    found = [tick.label for tick in log_ticks(*ends)]
    assert len(found) <= 7
    assert labels is None or found == labels.split()


def test_labels_cover_neither_each_other_nor_points_nor_bars():
    random = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in random.uniform(0, 300, (12, 2))]
    texts, bars = [["a name"]] * 12, [Box(100, 0, 104, 300)]
    places = place_labels(points, texts, bars, (300, 300), range(12))
    assert any(places)
    assert places[0], "the first one finds all places free"
    boxes = list(bars)
    for (x, y), place in zip(points, places, strict=True):
        if place:
            middle = (x + place[0] * 26, y + place[1] * 14)
            boxes.append(Box(middle[0] - 19, middle[1] - 7, middle[0] + 19, middle[1] + 7))
    boxes += [Box(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    assert not [pair for pair in pairwise(sorted(boxes)) if pair[0].touches(pair[1])]


def test_a_label_without_room_is_left_out_and_told_in_the_caption():
    assert place_labels([(10, 10)], [["a name that is far too long"]], [], (60, 60), [0]) == [None]
    report = sample_report()
    for row in report.rows:
        row.step = f"{row.step} with a long name"
    chart = named(report)["tradeoff"]
    assert isinstance(chart.picture, Plane)
    assert None in [point.narrow for point in chart.picture.points]
    assert chart.narrow_caption.startswith("No room for the names of")


def test_of_many_classes_those_that_changed_most_are_shown():
    labels = [f"class {number}" for number in range(90)]
    report = sample_report(labels=labels)
    last = report.rows[-1]
    base = last.by_class[0]
    last.by_class = [base.model_copy(update={"name": name, "baseline_quality": base.quality.value}) for name in labels]
    last.by_class[3].baseline_quality, last.by_class[80].baseline_quality = 1.0, 0.5
    chart = named(report)["classes"]
    shown = [row.name for row in rows(chart).rows]
    assert len(shown) == 30
    assert (shown[0], shown[-1]) == ("class 3", "class 80")
    assert "30 of 90 classes" in chart.caption


@pytest.mark.parametrize(
    ("value", "told"),
    [(1195.4, "1,195"), (113.0, "113"), (91.36, "91.4"), (9.4, "9.40"), (0.02589, "0.0259"), (0, "0")],
)
def test_numbers_keep_three_digits_that_count(value, told):
    assert number(value) == told


@pytest.mark.parametrize(
    ("text", "shown"), [("two\nlines", "two lines"), ("a name of more than twenty letters", "a name of more…letters")]
)
def test_names_are_one_short_line(text, shown):
    assert plain(text) == shown
