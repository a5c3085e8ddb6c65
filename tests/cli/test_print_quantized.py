"""What a person sees of quantizing where nothing is measured: in 80 columns, and as JSON."""

import json

import pytest

from compress.answers.label import Label
from compress.cli.print_quantized import print_quantized, sentences
from compress.facts import Quantization
from compress.report.quantized import quantized
from tests.report.reports import PARITY, rounding_facts


def printed(monkeypatch, capsys, *names, **changed):
    monkeypatch.setenv("COLUMNS", "80")
    facts = {name: value for name, value in rounding_facts().items() if name in names} | changed
    print_quantized([quantized("quantize", "quantize_onnx_auto", Quantization.read(facts))], Label.WORDS)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines), default=0) <= 80
    return lines


def test_a_choice_is_a_table_its_reasons_and_its_verdict(monkeypatch, capsys):
    lines = printed(monkeypatch, capsys, "choice")
    assert lines[0].split() == ["candidate", "MB", "change", "same", "p50", "ms", "faster"]
    assert lines[3] == "int8 dynamic * 23.40 -0.10 [-0.80, +0.50]  99.9%  18.50 1.30x [1.24, 1.37]"
    assert lines[6] == "int8 mixed"
    assert lines[7:10] == [
        "int8 static: drops 0.9 points, 0.5 are allowed",
        "4 bits: 1.4x slower than int8 dynamic",
        "int8 mixed: there are no rows with labels to search on",
    ]
    assert " ".join(lines[10:13]).startswith("* chosen; change in points, brackets: 95% intervals; 256 held-back rows,")
    assert lines[13:] == [
        "quantize: int8 dynamic is 1.3x [1.2, 1.4] as fast as float and 3.9x smaller, at",
        "          a drop of 0.1 points on 256 held-back rows",
    ]


def test_a_search_is_told_with_what_it_kept(monkeypatch, capsys):
    text = " ".join(" ".join(printed(monkeypatch, capsys, "sensitivity", "parity", "left_in_float")).split())
    assert text.startswith(
        "quantize: kept 3 of 29 layers in float: /network/bert/encoder/layer.0/attention/output/dense/MatMul (0.012"
    )
    assert "quality -0.40 points on the 256 held-back rows searched on, a drop of 0.5 points is allowed" in text
    assert text.endswith("quantize: left in float: tied_head"), "the layers that were searched are named once"


def test_without_a_search_agreement_drop_and_what_is_left_are_told(monkeypatch, capsys):
    left = [f"node_{number}" for number in range(7)]
    assert printed(monkeypatch, capsys, "parity", left_in_float=left) == [
        "quantize: 99.2% of 256 held-back rows keep their class; quality -0.39 (-1.20 to",
        "          +0.40) points",
        "quantize: left in float: node_0, node_1, node_2 and 4 more",
    ]
    unlabelled = quantized(
        "quantize", "quantize_onnx_static", Quantization.read({"parity": PARITY | {"drop_pp": None}})
    )
    assert sentences(unlabelled, Label.WORDS) == ["99.2% of 256 held-back rows keep their class"]
    built_in = {"parity": PARITY | {"drop_pp": None, "rows": 8, "built_in_texts": True}}
    found = quantized("quantize", "quantize_onnx_static", Quantization.read(built_in))
    assert sentences(found, Label.WORDS) == ["99.2% of 8 built-in English texts (no rows were given) keep their class"]
    assert printed(monkeypatch, capsys) == []


@pytest.fixture
def exported(chain):
    return chain.artifacts["onnx"].path


@pytest.mark.int8
def test_a_quantize_command_says_what_it_did(cli, exported, reviews):
    line = ("quantize", exported, "--train", reviews / "train.csv", "--max-length", 32, "--min-agreement", 0.1)
    said = cli(*line)
    assert said.code == 0, said.err
    first = said.out.splitlines()[0]
    assert first.startswith("quantize: ")
    assert "% of 6 held-back rows keep their class; quality " in first
    assert said.out.splitlines()[-3] == "final: runs/quantize/final"
    again = json.loads(cli(*line, "--json").out)
    assert again["artifacts"] == {"quantize": "runs/quantize/steps/quantize"}
    assert set(again["facts"]) == {"quantize"}
    assert again["facts"]["quantize"]["parity"]["rows"] == 6
    assert again["facts"]["quantize"]["parity"]["drop_pp"] is not None
    assert again["facts"]["quantize"]["left_in_float"] == []


@pytest.mark.int8
def test_a_budget_says_which_layers_it_kept(cli, exported, reviews):
    line = ("quantize", exported, "--train", reviews / "train.csv", "--max-length", 32, "--max-drop-pp", 100)
    said = cli(*line)
    assert said.code == 0, said.err
    text = " ".join(said.out.split())
    assert text.startswith("quantize: kept none of 9 layers in float; quality ")
    assert "points on the 3 held-back rows searched on, a drop of 100 points is allowed" in text
