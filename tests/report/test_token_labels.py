"""A report of labels of tokens: figures with intervals, entity types, and rows that flipped, for people to read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.answers.token_labels import TokenLabels
from compress.cli.console import print_report
from compress.cli.report import _print as print_compared
from compress.measurement import Measured
from compress.report.build import build_rows
from compress.report.files import read_report, write_report
from compress.report.goal import judge
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from compress.report.model import HeldOut, Report
from compress.report.two_reports import compare_reports
from tests.report import reports
from tests.report.test_html import Page, flat

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG")
SHARES = (0.7, 0.1, 0.05, 0.07, 0.03, 0.05)
ROWS = 200
WRONG = {"teacher": 0.01, "student": 0.02, "onnx": 0.06, "int8": 0.07}
"""Artifact -> share of the tokens that get another label."""


def texts() -> list[str]:
    return [f"{text} in Turin" for text in reports.made_up_texts(ROWS)]


def truth() -> list[list[int]]:
    random = np.random.default_rng(1)
    return [random.choice(len(TAGS), len(text.split()), p=SHARES).tolist() for text in texts()]


def answers_of(artifact: str) -> list[list[int]]:
    """The truth with mistakes; what one model gets wrong, the next ones get wrong too."""
    random = np.random.default_rng(2)
    drawn = [(random.random(len(row)), random.integers(0, len(TAGS), len(row))) for row in truth()]
    return [
        np.where(chance < WRONG[artifact], other, row).tolist()
        for row, (chance, other) in zip(truth(), drawn, strict=True)
    ]


@pytest.fixture(scope="module")
def report() -> Report:
    test = HeldOut(answers="token_labels", metric="f1_entity", labels=list(TAGS), truth=truth(), key="8" * 64)
    entries, measured = reports.measure(reports.held_out())
    taken = [
        found.model_copy(update={"predictions": answers_of(found.artifact), "confidences": []})
        for found in measured.measurements
    ]
    measured = Measured(taken, measured.conditions, measured.created, measured.host)
    rows = build_rows(entries, measured, {"cpu": "teacher"}, test, texts(), margin_pp=1.0)
    last = rows[-1]
    return reports.sample_report().model_copy(
        update={
            "test": test,
            "rows": rows,
            "ablations": [],
            "goal": judge(reports.GOAL, last, last.versus_baseline),
            "task": {"type": "tags", "train_rows": 10, "validation_rows": 5, "test_rows": ROWS, "overlap": 0},
        }
    )


def test_the_figures_are_those_of_entities(report: Report) -> None:
    right, last = TokenLabels(truth(), TAGS), report.rows[-1]
    own, base = (
        TokenLabels(answers_of(artifact), TAGS).outcome(right, "f1_entity") for artifact in ("int8", "teacher")
    )
    assert last.quality == own.score()
    found = last.versus_baseline
    assert found is not None
    drop = base.drop(own)
    assert [found.drop_pp.value, found.drop_pp.low, found.drop_pp.high] == pytest.approx(
        [100 * drop.value, 100 * (drop.low or 0), 100 * (drop.high or 0)]
    )
    assert found.quality_verdict == "worse"
    assert (found.lost, found.gained) == (int((own.rows < base.rows).sum()), int((own.rows > base.rows).sum()))
    assert found.lost > 40
    assert found.mcnemar_p < 1e-6
    assert 0.9 < found.agreement < 1
    assert last.calibration_error is None


def test_slices_are_of_entity_types_and_of_lengths(report: Report) -> None:
    right, last = TokenLabels(truth(), TAGS), report.rows[-1]
    assert [(part.name, part.rows) for part in last.by_class] == list(right.counts().items())
    for part in last.by_class:
        assert part.quality.low is not None
        assert part.quality.low < part.quality.value < (part.quality.high or 0)
        assert part.baseline_quality is not None
        assert part.quality.value < part.baseline_quality
    assert sum(part.rows for part in last.by_length) == ROWS


def test_flips_tell_the_entities_that_changed(report: Report) -> None:
    last, words = report.rows[-1], texts()
    lost = [flip for flip in last.flips if flip.is_loss]
    assert len(lost) == min(40, last.versus_baseline.lost if last.versus_baseline else 0)
    for flip in last.flips:
        assert flip.confidence is None
        assert flip.before != flip.after
        for side in (flip.truth, flip.before, flip.after):
            for entity in [] if side == "none" else side.split(", "):
                kind, _, text = entity.partition(" ")
                assert kind in {"PER", "LOC", "ORG"}
                assert text in words[flip.row]


def test_it_is_shown_on_the_terminal_in_markdown_and_on_the_page(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    last = report.rows[-1]
    assert last.quality is not None
    score = f"{100 * last.quality.value:.2f}%"
    print_report(report)
    told = capsys.readouterr().out
    assert score in told
    assert f"score: entity F1 on {ROWS} test rows" in told
    assert "entity F1 -" in told.replace("\n", " "), "the headline"
    markdown = render_markdown(report)
    assert f"Score: entity F1 on {ROWS} test rows" in markdown
    assert f"{score} ({100 * (last.quality.low or 0):.1f} to {100 * (last.quality.high or 0):.1f})" in markdown
    page = Page(render_html(report))
    text = flat(page.text)
    assert f"entity F1 on {ROWS} test rows of {len(TAGS)} labels" in text
    for expected in ("Quality by entity type", "token accuracy", "F1 of the entities of a type", " entities", score):
        assert expected in text
    assert "Entity F1 among texts of like length" in text
    assert "right is one whose tokens and type all are" in text
    assert "most frequent mistakes" not in text, "classes of rows are confused, not entities"
    assert "% sure" not in text
    flip = next(flip for flip in last.flips if flip.is_loss)
    assert f"row {flip.row} {flip.before} \u2192 {flip.after} right: {flip.truth}" in text
    hints = [attributes.get("title") or "" for attributes in page.all("td") + page.all("th")]
    assert any("rows are better as often as worse (the sign test)" in hint for hint in hints)


def test_it_is_read_again_and_compared_without_its_task(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(report, tmp_path)
    again = read_report(tmp_path / "report.json")
    assert again is not None
    assert again.test.right_answers == TokenLabels(truth(), TAGS)
    print_compared(compare_reports(tmp_path, tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert any("0.00" in line and "points; sign test, p = 1" in line for line in lines)
    assert any("100.00% predicted alike; 0 lost, 0 gained" in line for line in lines)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("test", "answers"), "no_such_kind"),
        (("test", "metric"), "accuracy"),
        (("test", "truth"), [0, 1]),
        (("rows", 0, "predictions"), [[0, 1]]),
        (("rows", 0, "predictions"), [0] * ROWS),
    ],
)
def test_a_report_whose_answers_do_not_fit_is_none(place: Any, value: Any, report: Report, tmp_path: Path) -> None:
    content = json.loads(report.model_dump_json())
    *parents, last = place
    part = content
    for name in parents:
        part = part[name]
    part[last] = value
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert read_report(tmp_path / "report.json") is None


def test_a_report_of_an_earlier_version_is_of_labels() -> None:
    content = json.loads(reports.sample_report().model_dump_json())
    del content["test"]["answers"]
    for row in content["rows"]:
        for flip in row["flips"]:
            del flip["lost"]
    found = Report.model_validate(content)
    assert found.test.answers == "label"
    flips = [flip for row in found.rows for flip in row.flips]
    assert [flip.is_loss for flip in flips] == [flip.before == flip.truth for flip in flips]
    assert render_html(found) == render_html(reports.sample_report())
