"""The page as text: what it says, what it escapes, and that it needs nothing from outside."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from compress.recipe.schema import Goal
from compress.report import words
from compress.report.charts import make_charts
from compress.report.html import goal_state, render_html
from compress.report.markdown import render_markdown
from compress.report.model import Report
from compress.report.shown import shown_rows
from compress.report.usage import usage
from tests.report.reports import STEPS, sample_report

HOSTILE = "</script><img src=x onerror=alert(1)><!--'\"&var(--ink){{7*7}}"


class Page(HTMLParser):
    """Elements with their attributes, the text outside of scripts, and each script's own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.styles = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in {"meta", "link"}:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts[-1] += data
        elif self.open[-1:] == ["style"]:
            self.styles += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def figures(self):
        return [attributes["data-figure"] for attributes in self.all("div") if "data-figure" in attributes]


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(render_html(report))


def test_the_page_is_whole_and_every_element_is_closed(page):
    assert page.open == []
    assert [attributes["lang"] for attributes in page.all("html")] == ["en"]
    assert len(page.all("h1")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert len(page.scripts) == 1


def test_the_verdict_and_the_headline_come_first(page, report):
    text = flat(page.text)
    verdict = words.verdict(report)
    assert verdict.startswith("goal met, in doubt")
    assert verdict[1:] in text
    assert words.headline(report)[0] in text
    assert text.index(verdict[1:]) < text.index("Speed, quality and size on cpu")
    assert "verdict doubt" in [attributes.get("class") for attributes in page.all("div")]


@pytest.mark.parametrize(
    ("goal", "state"),
    [
        (None, "none"),
        (Goal(max_size_mb=20), "met"),
        (Goal(max_drop_pp=3), "doubt"),
        (Goal(min_speedup=100), "missed"),
        (Goal(min_end_to_end_speedup=100), "missed"),
    ],
)
def test_the_banner_has_the_colour_of_the_verdict(goal, state):
    report = sample_report(goal=goal)
    assert goal_state(report.goal) == state
    assert f'<div class="verdict {state}"' in render_html(report)


def test_the_table_holds_every_figure_with_its_interval_and_verdict(page, report):
    text = flat(page.text)
    for row in shown_rows(report, "cpu"):
        assert f"{100 * row.quality.value:.2f}%{100 * row.quality.low:.1f} to {100 * row.quality.high:.1f}" in text
        if row.versus_baseline is not None:
            figure, _, interval = words.change(row.versus_baseline).rstrip(")").partition(" (")
            assert f"{figure}{interval}{row.versus_baseline.quality_verdict}" in text
            figure, _, interval = words.times(row.versus_baseline.speedup).rstrip(")").partition(" (")
            assert f"{figure}{interval}{row.versus_baseline.speed_verdict}" in text
            assert words.times(row.versus_baseline.end_to_end).partition(" ")[0] in text
    for head in (
        "p99, ms",
        "real texts p50, ms",
        "tokenize p50, ms",
        "above start, MB",
        "end to end",
        "macro F1",
        "a million texts",
        "share of peak",
        "lost / gained",
    ):
        assert head in text
    assert "GPU memory" not in text, "a column that says nothing is left out"
    assert text.count("teacher baseline") == 3


def test_tables_can_be_read_by_a_screen_reader(page):
    assert len(page.all("table")) == len(page.all("caption")) == 7
    assert {attributes["scope"] for attributes in page.all("th")} == {"col", "row"}
    charts = [attributes for attributes in page.all("div") if "data-figure" in attributes]
    assert all(attributes["role"] == "img" and len(attributes["aria-label"]) > 40 for attributes in charts)


def test_every_chart_has_its_figure(page, report):
    wanted = [f"target-1-{chart.name}" for chart in make_charts(report, "cpu")]
    assert page.figures == wanted
    assert len(page.all("rect")) > 15


def test_nothing_is_fetched(page, report):
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "poster"):
            if name in attributes:
                assert re.match(r"#|data:", attributes[name]), (tag, attributes)
    policy = next(item["content"] for item in page.all("meta") if "Content-Security-Policy" in item.values())
    assert policy.startswith("default-src 'none'")
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    assert "http" not in page.styles + page.scripts[0] + page.text


def test_the_page_is_small(report):
    assert len(render_html(report).encode()) < 300_000


def test_links_within_the_page_lead_somewhere(page):
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [attributes["href"] for attributes in page.all("a")]
    assert len(links) == 7
    assert {link.removeprefix("#") for link in links} <= ids


def test_flips_lineage_conditions_and_command_are_there(page, report):
    text = flat(page.text)
    last = report.rows[-1]
    assert f"int8: {last.versus_baseline.lost} lost, {last.versus_baseline.gained} gained" in text
    assert "pruned, onnx: 3 lost, 0 gained" in text, "an artifact is listed once"
    for flip in last.flips:
        assert flat(flip.text) in text
    for fact in ("AMD EPYC 7763", "avx512_vnni", "8.2 GB", "2,445 MHz", "481 GFLOP/s", "onnxruntime 1.31.0"):
        assert fact in text
    assert report.lineage[1].key[:12] in text
    assert "epochs: 2, learning_rate: 0.0001" in text
    assert report.command in text
    assert report.recipe_text in page.text
    assert "Made 2026-01-31 12:00:00 UTC by compress 0.1.0, seed 0." in text


def test_ablations_say_what_each_step_was_worth(page, report):
    text = flat(page.text)
    pruned = next(item for item in report.ablations if item.step == "pruned")
    assert words.times(pruned.worth.speedup).partition(" ")[0] in text
    assert "'int8' reads onnx, which only this step gives" in text
    without = Page(render_html(report.model_copy(update={"ablations": []})))
    assert "Worth of each step" not in without.text


def test_hostile_texts_stay_texts():
    report = sample_report(labels=[HOSTILE, "b"], texts=[HOSTILE] * 200, targets=(HOSTILE,))
    for row in report.rows:
        row.step += HOSTILE
    for name in ("recipe", "baseline", "command", "recipe_text", "created"):
        setattr(report, name, HOSTILE)
    report.notes.append(HOSTILE)
    report.lineage[0].config = {HOSTILE: {HOSTILE: HOSTILE}}
    report.lineage[0].inputs = {HOSTILE: HOSTILE}
    report.host["cpu"] = HOSTILE
    text = render_html(report)
    page = Page(text)
    assert page.open == []
    assert page.all("img") == []
    assert len(page.scripts) == 1
    assert page.text.count(HOSTILE) > 20
    assert "<img" not in page.scripts[0]
    assert "{{7*7}}" in page.text


def test_failed_and_skipped_rows_say_why():
    page = Page(render_html(sample_report(failed={"int8": "an operator is not known"})))
    assert "failed: an operator is not known" in page.text
    assert "Goal missed: the last step was not measured: an operator is not known" in flat(page.text)
    nothing = Page(render_html(sample_report(failed=dict.fromkeys(STEPS, "it died"))))
    assert nothing.text.count("failed: it died") == 5
    assert nothing.figures == ["target-1-sizes"]


def test_each_target_has_its_part():
    page = Page(render_html(sample_report(targets=("cpu", "laptop"))))
    assert {"target-1", "target-2"} <= {attributes.get("id") for attributes in page.all("section")}
    assert len(page.figures) == 14
    assert "While laptop was measured" in page.text


def test_a_lone_baseline_is_not_compared():
    text = flat(Page(render_html(sample_report(steps=("teacher",), goal=None))).text)
    assert "No goal is set." in text
    assert "times faster" not in text
    assert "97.50%" in text


def test_a_speed_that_was_not_compared_is_said():
    report = sample_report()
    for row in report.rows[1:]:
        row.versus_baseline.speedup = row.bought.speedup = None
    page = Page(render_html(report))
    assert "not compared" in page.text
    assert "speed not compared: not timed on one machine" in page.text
    assert "target-1-latency-bought" not in page.figures


def test_a_bench_of_folders_has_no_recipe():
    report = sample_report().model_copy(update={"command": "", "recipe_text": None, "lineage": [], "ablations": []})
    page = Page(render_html(report))
    assert page.open == []
    assert "Run it again" not in page.text
    assert "Lineage" not in page.text


def test_warnings_stand_above_the_figures():
    report = sample_report()
    report.conditions["cpu"] = report.conditions["cpu"].model_copy(update={"competing_cores": 1.5, "clock_mhz": None})
    text = flat(Page(render_html(report)).text)
    assert "Warning: cpu: other processes kept 1.5 cores busy" in text
    assert text.index("Warning:") < text.index("Speed, quality and size")
    assert "clocknot known" in text.replace("clock not", "clocknot")


def test_importing_the_page_is_light():
    code = (
        "import sys; import compress.report.html; "
        "print({'torch', 'scipy', 'pandas', 'numpy', 'jinja2'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_a_missed_goal_says_what_to_try_with_its_evidence():
    text = flat(Page(render_html(sample_report(goal=Goal(max_drop_pp=0.5)))).text)
    assert text.index("Goal missed") < text.index("What to try next") < text.index("Speed, quality and size")
    assert "In pruned, take less out" in text
    assert "Because it changes accuracy by -1.00" in text
    assert "What to try next" not in Page(render_html(sample_report(goal=Goal(max_size_mb=20)))).text
    assert "- In \\`pruned\\`, take less out" in render_markdown(sample_report(goal=Goal(max_drop_pp=0.5)))


def test_mistakes_are_shown_as_a_shaded_table_or_as_a_list_of_many_classes(page):
    assert "Rows of a class, and what int8 takes them for" in flat(page.text)
    cells = [attributes for attributes in page.all("td") if attributes.get("class") in {"hit", "miss"}]
    assert len(cells) == 64
    assert {attributes.get("style", "")[:9] for attributes in cells} == {"", "--shade: "}
    many = Page(render_html(sample_report(labels=[f"class {number}" for number in range(40)])))
    assert many.open == []
    assert "The most frequent mistakes" in many.text
    assert "takes them for" not in many.text


def test_the_model_s_use_is_told_of_a_run_and_not_of_a_bench(page, report):
    lines = usage("final")
    for line in (lines.install, lines.texts, lines.file, lines.code):
        assert line in page.text
    report = report.model_copy(update={"task": {**report.task, "pairs": True}})
    assert usage("final", pairs=True).texts in Page(render_html(report)).text
    assert "Use the model" not in Page(render_html(report.model_copy(update={"recipe_text": None}))).text
