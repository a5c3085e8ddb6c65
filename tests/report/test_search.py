"""A search in a report: what is said of it, and that terminal, Markdown, page and JSON have all of it."""

import operator
import re
from itertools import pairwise

import pytest
from pydantic import ValidationError

from compress.cli.console import print_report
from compress.measurement import Estimate
from compress.report import search_words
from compress.report.figure import Plane
from compress.report.html import render_html
from compress.report.markdown import render_markdown
from compress.report.model import Report
from compress.report.search import Finalist, LookedAt, Selection
from compress.report.search_charts import search_charts
from tests.report.reports import sample_report
from tests.report.searches import CANDIDATES, sample_search, searched_report
from tests.report.test_html import Page

PROVED = "the fastest finalist that is proved to lose at most 1 point of accuracy is layers-3: -0.30 ("


@pytest.fixture
def printed(monkeypatch, capsys):
    """Prints a report on a terminal of a width, and gives its lines."""

    def lines(report: Report, width: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        print_report(report)
        return capsys.readouterr().out.splitlines()

    return lines


def test_a_report_with_a_search_is_the_same_after_json_and_one_without_still_reads():
    report = searched_report()
    assert Report.model_validate_json(report.model_dump_json()) == report
    older = sample_report().model_dump(mode="json")
    del older["search"]
    assert Report.model_validate(older).search is None


def test_the_result_names_the_winner_its_bound_and_its_optimism():
    report = searched_report()
    assert report.search is not None
    result, on_test = search_words.result(report)
    assert result.startswith(PROVED)
    assert result.endswith("points on 2,000 selecting rows, with 95% confidence at least -0.76")
    drop = report.rows[-1].versus_baseline.drop_pp
    assert report.search.optimism_pp == drop.value - 0.3
    assert on_test.startswith("on test rows, which the search has not seen: -2.00 (")
    assert on_test.endswith("1.70 points worse than when selecting")


@pytest.mark.parametrize(
    ("test_drop", "end"),
    [(0.3, "as much as when selecting"), (0.1, "0.20 points better than when selecting")],
)
def test_a_choice_that_was_not_optimistic_is_called_so(test_drop, end):
    search = sample_search().with_test(Estimate(value=0.9), Estimate(value=test_drop))
    (sentence,) = search_words.on_test(search)
    assert sentence.endswith(end)


def test_before_the_test_nothing_is_said_of_it():
    search = sample_search()
    assert search_words.on_test(search) == []
    assert search.with_test(Estimate(value=0.9), None).optimism_pp is None


def test_without_a_winner_the_nearest_is_named_with_what_limits_it():
    search = sample_search(("layers-3", 40, 26), ("linear", 80, 15))
    (sentence,) = search_words.result(searched_report(search))
    assert re.fullmatch(
        r"no finalist is proved to keep the goal; layers-3 comes nearest \(-0.70 \(.*\) points\), limited by quality: "
        r"not proved: 2,000 rows cannot tell, about 10,000 would",
        sentence,
    )
    large = sample_search(("layers-3", 4, 4), missed={"layers-3": "14.20 MB, at most 10 allowed"})
    (sentence,) = search_words.result(searched_report(large))
    assert sentence.endswith("limited by size: missed: 14.20 MB, at most 10 allowed")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "proved"),
        ({"verdict": "not proved"}, "not proved: 1,234 rows cannot tell"),
        ({"verdict": "not proved", "rows_needed": 3401}, "not proved: 1,234 rows cannot tell, about 3,500 would"),
        ({"verdict": "not proved", "rows_needed": 7}, "not proved: 1,234 rows cannot tell, about 7 would"),
        ({"verdict": "not proved", "stopped_by": "b"}, "not proved: its bound is within the margin, but the test stop"),
        ({"verdict": "missed", "missed": ["too slow", "too large"]}, "missed: too slow; too large"),
    ],
)
def test_each_verdict_has_its_reason(changes, said):
    finalist = Finalist(name="a", drop_pp=Estimate(value=0.5), bound_pp=0.9, verdict="proved")
    assert search_words.verdict(finalist.model_copy(update=changes), 1234).startswith(said)


def test_candidates_are_counted_by_what_was_done_for_them():
    rows, counts, cost = search_words.about(sample_search())
    assert rows.startswith("fitted on 2,833 training rows, searched on 500, selected on 2,000 in 3 parts, ")
    assert counts == "10 candidates: 7 trained, 1 of them in part, 2 only scored, 1 not made; 5 were finalists"
    assert cost.startswith("CPU minutes: the whole search 171, training the teacher once 31.4, making the winner once ")
    bare = sample_search().model_copy(update={"cpu_minutes": None, "teacher_cpu_minutes": None, "folds": 1})
    assert search_words.about(bare)[0].split(";")[0].endswith("selected on 2,000")
    assert search_words.about(bare)[2] == "CPU minutes: making the winner once 2.12; making all took 92.3 minutes"


def test_a_teacher_that_was_taken_as_it_is_is_told_of_and_was_not_trained(printed):
    report = searched_report(sample_search().model_copy(update={"teacher_as_it_is": True}))
    said = " ".join(" ".join(printed(report, 80)).split())
    for shown in (said, render_html(report), render_markdown(report)):
        assert "he teacher was taken as it is: if it has learned from the rows that were selected on" in shown
        assert "training the teacher once" not in shown
    other = searched_report()
    assert "taken as it is" not in render_markdown(other)
    assert "training the teacher once" in render_markdown(other)


def test_page_and_markdown_have_every_candidate_every_finalist_and_the_result():
    report = searched_report()
    page, markdown = render_html(report), render_markdown(report)
    for shown in (page, markdown):
        assert PROVED.removeprefix("the ") in shown
        for one in CANDIDATES:
            assert one.name in shown
        for text in ("beaten by teacher, int8", "out: after 25% of its training", "not made: no time was left"):
            assert text in shown
        assert "2,000 rows cannot tell, about 10,000 would" in shown
        assert "the test stopped at convolution-256" in shown
    assert 'href="#search"' in page
    parsed = Page(page)
    assert parsed.open == []
    assert [name for name in parsed.figures if name and name.startswith("search-")] == [
        *("search-quality-latency", "search-quality-size", "search-latency-size"),
    ]
    assert "| layers-3 | -0.30 (-0.85 to +0.25) | -0.76 | proved |" in markdown
    plain = render_html(sample_report()) + render_markdown(sample_report())
    assert "The search" not in plain


def test_texts_of_candidates_are_escaped():
    search = sample_search()
    search.candidates[0].what = "<script>alert(1)</script> | `x`"
    report = searched_report(search)
    assert "<script>alert(1)" not in render_html(report)
    assert r"&lt;script>alert(1)&lt;/script> \| \`x\`" in render_markdown(report)
    assert LookedAt(name="a\x1b[2J", family="b", what="c").name == r"a\x1b[2J"


@pytest.mark.parametrize("width", [200, 120, 80, 60, 50])
def test_the_tables_fit_and_tell_every_verdict(width, printed):
    lines = printed(searched_report(), width)
    assert max(map(len, lines)) <= width
    whole = " ".join(" ".join(lines).split())
    assert whole.count(" proved ") >= 2
    assert "layers-3 *" in whole
    assert PROVED in whole
    assert "convolution-256 not proved: 2,000 rows cannot tell, about 10,000 would" in whole
    assert "linear missed: -3.25 points, a drop of at most 1 allowed" in whole


def test_on_eighty_columns_no_figure_is_folded(printed):
    lines = printed(searched_report(), 80)
    (row,) = [line for line in lines if line.startswith(" layers-3 *")]
    assert row.split() == ["layers-3", "*", "proved", "-0.30", "-0.76", "4.10", "ms", "14.20"]
    below = lines[lines.index(row) + 1]
    assert below.split() == ["[-0.85,", "+0.25]"]


def test_the_pictures_show_each_figure_against_each():
    report = searched_report()
    charts = search_charts(report)
    assert [chart.name for chart in charts] == ["quality-latency", "quality-size", "latency-size"]
    assert [chart.title for chart in charts] == [
        *("Accuracy against latency", "Accuracy against size", "Latency against size"),
    ]
    for chart, is_tested in zip(charts, (True, True, False), strict=True):
        picture = chart.picture
        assert isinstance(picture, Plane)
        assert len(picture.points) == 9 + is_tested
        places = [place for point in picture.points for place in (point.x, point.y, *point.level, *point.upright)]
        assert all(0 <= place <= 100 for place in places)
        (winner,) = [point for point in picture.points if (point.kind, point.tone) == ("dot", "accent")]
        assert winner.hint.startswith("layers-3\n")
        assert winner.wide is not None
        assert winner.narrow is not None
        for point in picture.points:
            name = point.hint.partition("\n")[0]
            is_beaten = (point.kind, point.tone) == ("spot", "baseline")
            assert (point.wide is None and not is_beaten) == (name in chart.wide_caption)
            assert (point.narrow is None and not is_beaten) == (name in chart.narrow_caption)
        on_test = [point for point in picture.points if (point.kind, point.tone) == ("ring", "accent")]
        assert len(on_test) == is_tested
        for point in on_test:
            assert point.x == winner.x
            assert point.upright[0] < point.y < point.upright[1]
        assert sum((point.kind, point.tone) == ("ring", "middle") for point in picture.points) == 4
        assert ("the winner on test rows" in [text for _, text in picture.legend]) == is_tested


def test_the_front_goes_through_all_that_no_other_beats_in_both_figures():
    accuracy, _, sizes = (chart.picture for chart in search_charts(searched_report()))
    for picture, better in ((accuracy, -1), (sizes, 1)):  # up the page is better for quality, and down for time
        assert isinstance(picture, Plane)
        raced = [point for point in picture.points if not re.search("25% trained|on test rows", point.hint)]
        costs = {(point.x, -better * point.y) for point in raced}
        on_front = sorted(one for one in costs if not any(all(map(operator.le, other, one)) for other in costs - {one}))
        assert len(on_front) >= 2
        corners = [picture.front[0][:2], *(line[2:] for line in picture.front[1::2])]
        assert corners == [(x, -better * cost) for x, cost in on_front]
        for line, following in pairwise(picture.front):
            assert line[2:] == following[:2]


def test_a_report_from_anywhere_is_checked():
    with pytest.raises(ValidationError, match="all of score, latency"):
        LookedAt(name="a", family="b", what="c", score=0.5)
    one = Finalist(name="a", drop_pp=Estimate(value=0), bound_pp=0.1, verdict="proved")
    with pytest.raises(ValidationError, match="names of their own"):
        Selection(margin_pp=1, rows=5, finalists=[one, one])
    with pytest.raises(ValidationError, match="is a finalist"):
        Selection(margin_pp=1, rows=5, finalists=[], winner="b")
    assert search_charts(sample_report()) == []
