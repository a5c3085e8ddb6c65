"""The page's figures: numbers worked out by hand, and plotly's own check of each."""

import math
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest

from compress.report.charts import make_charts
from compress.report.figure import Chart, milliseconds, number, plain, unique
from compress.report.model import Report
from compress.report.tradeoff import PLACES, Box, front, place_labels, spread
from tests.report.reports import sample_report

ALL = ["tradeoff", "latencies", "sizes", "latency-bought", "quality-bought", "classes", "lengths"]


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


def named(report: Report, target: str = "cpu") -> dict[str, Chart]:
    return {chart.name: chart for chart in make_charts(report, target)}


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
def test_plotly_accepts_every_figure(options, names):
    report = sample_report(**options)
    for target in report.targets:
        charts = make_charts(report, target)
        assert [chart.name for chart in charts] == names
        for chart in charts:
            figure = go.Figure(chart.figure)
            assert figure.layout.height == chart.figure["layout"]["height"] > 60
            assert chart.summary
            assert chart.caption


def test_the_waterfall_of_latency_leads_from_the_baseline_to_the_last_step(report):
    bars = named(report)["latency-bought"].figure["data"][0]
    medians = [row.latency_ms.p50 for row in report.rows]
    assert bars["measure"] == ["absolute", "relative", "relative", "relative", "relative", "total"]
    assert np.cumsum(bars["x"][:-1]) == pytest.approx(medians)
    assert bars["x"][-1] == medians[-1]


def test_the_waterfall_of_quality_adds_up_to_the_change_against_the_baseline(report):
    bars, whiskers, _ = named(report)["quality-bought"].figure["data"]
    total = report.rows[-1].versus_baseline.change_pp
    assert sum(bars["x"][:-1]) == pytest.approx(bars["x"][-1]) == pytest.approx(total.value)
    student = report.rows[1].bought.change_pp
    low = [end - reach for end, reach in zip(whiskers["x"], whiskers["error_x"]["arrayminus"], strict=True)]
    high = [end + reach for end, reach in zip(whiskers["x"], whiskers["error_x"]["array"], strict=True)]
    assert (low[0], high[0]) == pytest.approx((student.low, student.high))
    assert (low[-1], high[-1]) == pytest.approx((total.low, total.high))


def test_every_difference_stands_beside_its_verdict_and_interval(report):
    notes = named(report)["quality-bought"].figure["layout"]["yaxis2"]["ticktext"]
    for row, note in zip(report.rows[1:], notes[1:], strict=False):
        assert row.bought.quality_verdict in note
        assert f"({-row.bought.drop_pp.high:+z.2f} to {-row.bought.drop_pp.low:+z.2f})" in note


def test_without_a_compared_speed_there_is_no_waterfall_of_latency():
    report = sample_report()
    report.rows[2].bought.speedup = None
    assert "latency-bought" not in named(report)
    assert "quality-bought" in named(report)


def test_a_chain_that_was_not_compared_with_the_baseline_claims_no_sum():
    report = sample_report(failed={"student": "it died"})
    bars = named(report)["quality-bought"].figure["data"][0]
    notes = named(report)["quality-bought"].figure["layout"]["yaxis2"]["ticktext"]
    assert len(bars["x"]) == 4  # pruned, onnx, int8, together
    assert notes[-1] == "95.50%"


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


def test_steps_that_are_one_artifact_share_a_point(report):
    assert [name for name, _ in unique(report.rows)] == ["teacher", "student", "pruned, onnx", "int8"]


@pytest.mark.parametrize(("values", "is_log"), [([1.0, 10.0], False), ([1.0, 10.1], True), ([0.0, 1.0], False)])
def test_an_axis_is_logarithmic_past_a_ratio_of_ten(values, is_log):
    found = milliseconds("ms", values)
    assert found.is_log is is_log
    assert (found.axis.get("type") == "log") is is_log
    assert found.low <= (math.log10(values[0]) if is_log else values[0])
    assert found.high > (math.log10(values[1]) if is_log else values[1])
    assert found.share(values[1]) < 1


def test_labels_cover_neither_each_other_nor_points_nor_bars():
    random = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in random.uniform(0, 300, (12, 2))]
    texts, bars = ["a name"] * 12, [Box(100, 0, 104, 300)]
    places = place_labels(points, texts, bars, (300, 300), range(12))
    assert any(places)
    assert places[0], "the first one finds all places free"
    directions = {name: way for name, *way in PLACES}
    boxes = list(bars)
    for (x, y), place in zip(points, places, strict=True):
        if place:
            right, down = directions[place]
            middle = (x + right * 26, y + down * 14)
            boxes.append(Box(middle[0] - 19, middle[1] - 7, middle[0] + 19, middle[1] + 7))
    boxes += [Box(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    assert not [pair for pair in pairwise(sorted(boxes)) if pair[0].touches(pair[1])]


def test_a_label_without_room_is_left_out_and_told_in_the_caption():
    assert place_labels([(10, 10)], ["a name that is far too long"], [], (60, 60), [0]) == [""]
    report = sample_report()
    for row in report.rows:
        row.step = f"{row.step} with a long name"
    chart = named(report)["tradeoff"]
    narrow = chart.figure["data"][1]["meta"]["narrow"]["text"]
    assert "" in narrow
    assert chart.narrow_caption.startswith("No room for the names of")


def test_of_many_classes_those_that_changed_most_are_shown():
    labels = [f"class {number}" for number in range(90)]
    report = sample_report(labels=labels)
    last = report.rows[-1]
    base = last.by_class[0]
    last.by_class = [base.model_copy(update={"name": name, "baseline_quality": base.quality.value}) for name in labels]
    last.by_class[3].baseline_quality, last.by_class[80].baseline_quality = 1.0, 0.5
    chart = named(report)["classes"]
    shown = chart.figure["layout"]["yaxis"]["ticktext"]
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
    ("text", "shown"),
    [
        ("<b>bold</b>", "&lt;b&gt;bold&lt;/b&gt;"),
        ("two\nlines", "two lines"),
        ("a name of more than twenty letters", "a name of mor…etters"),
    ],
)
def test_names_are_never_read_as_markup(text, shown):
    assert plain(text) == shown
