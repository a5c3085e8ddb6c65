"""What quantizing did: read from a manifest's facts, said in words, drawn, and in tables."""

import json

import pytest
from pydantic import ValidationError

from compress import stages
from compress.answers import metric_title
from compress.facts import Quantization, Sensitivity
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from compress.report.model import Report
from compress.report.quantized import Quantized, quantized
from compress.report.quantized_page import FEW, SHORT, TALL, layer_chart, layers_parts, short_names
from compress.report.quantized_words import change_words, choice_words, interval, kept_words, listed, nats, search_words
from tests.report.reports import PARITY, choice, rounding_facts, rounding_report, sample_report, sensitivity
from tests.report.test_html import HOSTILE, Page, flat


def read(**facts: object) -> Quantized:
    told = Quantization.read(facts)
    assert told is not None
    return quantized("int8", "quantize_onnx_auto", told)


def searched(drops: list[tuple[int, float]], **given: object) -> Sensitivity:
    tried = [{"kept": kept, "drop_pp": drop, "agreement": 1.0} for kept, drop in drops]
    return Sensitivity.model_validate(sensitivity() | {"tried": tried} | given)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_html(rounding_report()))


def test_facts_of_a_manifest_are_read_with_their_types():
    found = read(**rounding_facts(), attention_split=6)
    assert found.sensitivity is not None
    assert found.sensitivity.kept[0].name == "/network/bert/encoder/layer.0/attention/output/dense/MatMul"
    assert found.choice is not None
    int8, mixed = found.choice.candidates[1], found.choice.candidates[-1]
    assert int8.change is not None
    assert (int8.change.value, int8.change.low, int8.change.high) == pytest.approx((-0.1, -0.8, 0.5))
    assert (mixed.size_bytes, mixed.change, mixed.faster) == (None, None, None)
    assert found.parity is not None
    assert (found.parity.rows, found.parity.drop_pp) == (256, 0.39)
    facts = {"parity": PARITY, "attention_split": 6, "choice": None}
    assert Quantization.part_of(facts) == {"parity": PARITY}


def test_only_a_stage_that_says_so_tells_of_quantizing():
    assert stages.find("export_onnx").facts_of(Quantization, {"parity": PARITY}) is None
    told = stages.find("quantize_onnx_dynamic").facts_of(Quantization, {})
    assert told is not None
    assert quantized("int8", "any", told) == Quantized(step="int8", stage="any")


def test_a_search_without_a_step_is_no_search():
    with pytest.raises(ValidationError, match="tried"):
        searched([])


def test_a_report_keeps_what_was_read():
    report = rounding_report()
    again = Report.model_validate_json(report.model_dump_json())
    assert again.rounded == report.rounded
    assert json.loads(report.model_dump_json())["rounded"][0]["sensitivity"]["max_drop_pp"] == 0.5


def test_names_out_of_a_graph_are_fit_for_a_terminal():
    assert read(left_in_float=["a\x1b[2J"]).left_in_float == ["a\\x1b[2J"]


@pytest.mark.parametrize(
    ("value", "told"), [(0.0123, "0.012"), (0.5, "0.5"), (4.12e-6, "4.1e-6"), (0.0, "0"), (9.99e-4, "1.0e-3")]
)
def test_divergences_keep_two_digits(value, told):
    assert nats(value) == told


def test_a_search_is_told_step_by_step():
    found = searched([(0, 1.2), (1, 0.9), (2, 0.3), (1, 0.7), (2, 0.3)])
    assert search_words(found) == (
        "with 0 layers in float the change is -1.20 points, with 1 it is -0.90, with 2 it is -0.30, "
        "with another 1 it is -0.70, and at last, with 2 it is -0.30"
    )
    assert search_words(searched([(0, 0.1)])) == "with 0 layers in float the change is -0.10 points"


def test_of_a_long_search_both_ends_are_told():
    told = search_words(searched([(count, 5.0 - count / 10) for count in range(40)]))
    assert "with 4 it is -4.60, … (30 more), with 35 it is -1.50" in told
    assert told.endswith("and at last, with 39 it is -1.10")
    assert "more)" not in search_words(searched([(count, 1.0) for count in range(11)]))


def test_what_stays_in_float_is_told_the_most_sensitive_first():
    found = Sensitivity.model_validate(sensitivity(kept=(3, 7, 11, 15, 19)))
    assert kept_words(
        found, 2
    ) == "kept 5 of 29 layers in float: Attention_0 (0.012 nats), Attention_1 (0.0062 nats)" + (" and 3 more")
    assert kept_words(Sensitivity.model_validate(sensitivity(kept=()))) == "kept none of 29 layers in float"
    assert (
        change_words(found)
        == "quality -0.40 points on the 256 held-back rows searched on, a drop of 0.5 points is allowed"
    )
    assert change_words(searched([(0, 0.2)], max_drop_pp=1.0)).endswith("1 point is allowed")
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"


def test_what_was_asked_of_a_choice_is_told():
    found = read(choice=choice()).choice
    assert found is not None
    about = "256 held-back rows, onnxruntime on cpu, 2 threads, batch 1, 128 tokens; asked for: "
    assert choice_words(found) == about + "a drop of at most 0.5 points, then the fastest"
    found.goal.prefer, found.goal.max_drop_pp = "size", None
    assert choice_words(found) == about + "then the smallest"
    assert interval(found.candidates[1].faster, ".2f", "x") == "1.30x (1.24 to 1.37)"


@pytest.mark.parametrize("encoder_layers", [2, 6, 36])
def test_bars_stand_in_the_graphs_order_and_those_in_float_apart(encoder_layers):
    found = Sensitivity.model_validate(sensitivity(encoder_layers, kept=(1, 4, 7)))
    chart = layer_chart(found)
    rows, scale = chart.picture.rows, chart.picture.scale
    bars = [row.marks[0] for row in rows]
    assert [bar.right for bar in bars] == [scale.at(layer.divergence) for layer in found.layers]
    assert all(0 < bar.right < 100 for bar in bars)
    assert [index for index, bar in enumerate(bars) if bar.tone == "accent"] == [1, 4, 7]
    assert [index for index, row in enumerate(rows) if row.is_strong] == [1, 4, 7]
    assert chart.picture.pixels == (TALL if len(found.layers) <= FEW else SHORT)
    assert len({row.name for row in rows}) == len(rows)
    assert [name for _, name in chart.picture.legend] == ["in float", "rounded"]
    assert "the most sensitive: " in chart.summary


def test_a_layer_that_moves_nothing_has_no_bar_and_does_not_stretch_the_axis():
    facts = sensitivity(2, kept=(1,))
    for layer, value in zip(facts["layers"], [0.0, 1e-14, *[1e-3] * 11], strict=True):
        layer["divergence"] = value
    picture = layer_chart(Sensitivity.model_validate(facts)).picture
    assert picture.scale.low == pytest.approx(-9.3, abs=0.01)
    assert [row.marks[0].width for row in picture.rows[:2]] == [0, 0]
    assert "1e-4" in [tick.label for tick in picture.scale.ticks]
    for layer in facts["layers"]:
        layer["divergence"] = 0.0
    nothing = layer_chart(Sensitivity.model_validate(facts)).picture
    assert {row.marks[0].width for row in nothing.rows} == {0}


@pytest.mark.parametrize(
    ("paths", "short"),
    [
        ("/n/layer.{}/self/query/MatMul /n/layer.{}/self/key/MatMul A_{}", "layer.{}/query layer.{}/key A_{}"),
        ("/n/layer.{}/output/MatMul /n/layer.{}/MatMul", "layer.{}/output/MatMul layer.{}/MatMul"),
        ("MatMul_{}", "MatMul_{}"),
    ],
)
def test_names_lose_what_most_share_and_stay_apart(paths, short):
    wanted = [name.format(index) for index in range(4) for name in short.split()]
    assert short_names([name.format(index) for index in range(4) for name in paths.split()]) == wanted


def test_the_page_shows_the_layers_and_the_choice(page):
    assert page.open == []
    text = flat(page.text)
    for words in (
        "int8: int8 dynamic is 1.3x [1.2, 1.4] as fast as float and 3.9x smaller",
        "int8 dynamic chosen",
        "drops 0.9 points, 0.5 are allowed",
        "there are no rows with labels to search on",
        "Kept 3 of 29 layers in float; quality -0.40 points on the 256 held-back rows searched on, a drop of 0.5 "
        "points is allowed.",
        "With 0 layers in float the change is -1.20 points, with 1 it is -0.90",
        "As written, 99.2% of 256 other held-back rows keep their class; quality -0.39 (-1.20 to +0.40) points.",
        "/network/bert/encoder/layer.5/output/dense/MatMul",
        "Left in float: 4 nodes that could be rounded",
        "tied_head",
    ):
        assert words in text
    assert "layers-1-divergence" in page.figures
    links = {attributes["href"] for attributes in page.all("a")}
    assert {"#choice", "#layers"} <= links
    assert {"choice", "layers"} <= {attributes.get("id") for attributes in page.all("section")}


def test_a_page_without_such_steps_has_no_such_sections():
    text = Page(render_html(sample_report())).text
    assert "What was chosen" not in text
    assert "Layers" not in text
    plain = rounding_report({"parity": PARITY, "left_in_float": []})
    assert layers_parts(plain) == []


def test_nodes_left_in_float_are_listed_without_a_search():
    page = Page(render_html(rounding_report({"left_in_float": ["tied_head"], "parity": PARITY})))
    assert "Left in float: 1 node that could be rounded" in page.text
    assert "layers-1-divergence" not in page.figures
    assert "What was chosen" not in page.text


def test_hostile_names_stay_names():
    facts = rounding_facts()
    facts["sensitivity"]["layers"][0]["name"] = facts["left_in_float"][0] = HOSTILE
    facts["choice"]["verdict"] = facts["choice"]["candidates"][1]["name"] = HOSTILE
    facts["choice"]["candidates"][2]["reason"] = HOSTILE
    page = Page(render_html(rounding_report(facts)))
    assert page.open == []
    assert page.all("img") == []
    assert "<img" not in page.scripts[0]
    assert page.text.count(HOSTILE) == 6  # once as a bar's hint


def test_markdown_holds_both_as_tables():
    text = render_markdown(rounding_report())
    assert (
        "| int8 dynamic (chosen) | 23.40 | 3.9x | -0.10 (-0.80 to +0.50) | 99.9% | 18.50 | 1.30x (1.24 to 1.37) |  |"
        in text
    )
    assert "| int8 mixed |  |  |  |  |  |  | there are no rows with labels to search on |" in text
    assert "| /network/bert/encoder/layer.0/attention/output/dense/MatMul | 0.590 | 0.012 | **in float** |" in text
    assert "- int8: left in float: /network/bert/encoder/layer.0/attention/output/dense/MatMul, " in text
    heads = [line for line in text.splitlines() if line.startswith("| candidate")]
    assert heads[0].count("|") == 9
    assert metric_title("accuracy") in text
    facts = rounding_facts()
    facts["sensitivity"]["layers"][0]["name"] = "<b>a|b"
    assert "| &lt;b>a\\|b |" in render_markdown(rounding_report(facts))
    assert "What was chosen" not in render_markdown(sample_report())
