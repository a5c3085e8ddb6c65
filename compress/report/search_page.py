"""The part of the report's page on a search: its sentences, its pictures, its finalists and all its candidates."""

from dataclasses import dataclass

from compress.answers import metric_title
from compress.report import search_words, words
from compress.report.figure import Chart
from compress.report.model import Report
from compress.report.page_cells import Cell, megabytes_cell, number_cell, percent_cell, with_interval
from compress.report.page_tables import Line, PageTable
from compress.report.search import Finalist, FinalistVerdict, LookedAt, SearchReport
from compress.report.search_charts import search_charts

TONES: dict[FinalistVerdict, str] = {"proved": "good", "not proved": "unsure", "missed": "bad"}
"""The colour of each verdict."""
FIGURES = [
    ("text to answer, ms", "Median time of a row, tokenizer included"),
    ("latency, ms", "Median of calls at the fixed length, the model alone"),
    ("size, MB", "Weights or graph, tokenizer, configuration; 1 MB is a million bytes"),
]


@dataclass(frozen=True)
class SearchPart:
    """The part of the page about a search.

    Attributes:
        about: how the search went, a sentence each.
    """

    about: list[str]
    finalists: PageTable
    charts: list[Chart]
    candidates: PageTable


def search_part(report: Report) -> SearchPart | None:
    """The part about the report's search; None if there was none."""
    search = report.search
    if search is None:
        return None
    metric = metric_title(report.test.metric)
    return SearchPart(
        [words.sentence(line) for line in search_words.about(search)],
        _finalists(search, metric),
        search_charts(report),
        _candidates(search, metric),
    )


def _finalists(search: SearchReport, metric: str) -> PageTable:
    """The table of the finalists, from the safest to the smallest."""
    selection, sure = search.selection, search_words.confidence(search)
    heads = [
        ("change, points", f"Points of {metric} against {search.baseline} on {selection.rows:,} selecting rows"),
        ("at least", f"One-sided, {sure}; proved if it is not below {-selection.margin_pp:g} points"),
        *FIGURES,
        ("why not", "What the figures miss, or how many selecting rows would tell"),
    ]
    lines = [
        Line(
            finalist.name,
            candidate.what if (candidate := search.candidate(finalist.name)) else "",
            [
                _change(finalist),
                Cell(search_words.bound(finalist)),
                *_figures(candidate),
                Cell(search_words.why(finalist, selection.rows), is_text=True),
            ],
            is_last=finalist.name == selection.winner,
            badge="winner" if finalist.name == selection.winner else "",
        )
        for finalist in selection.finalists
    ]
    caption = f"Finalists on {selection.rows:,} selecting rows, in the order in which they were tested"
    return PageTable(caption, heads, lines, first="finalist")


def _change(finalist: Finalist) -> Cell:
    cell = with_interval(search_words.changed(finalist.drop_pp))
    return cell._replace(verdict=finalist.verdict, tone=TONES[finalist.verdict])


def _candidates(search: SearchReport, metric: str) -> PageTable:
    """The table of all candidates, in the order in which they were looked at."""
    heads = [
        (metric, f"On {search.searching_rows:,} searching rows"),
        ("change, points", f"Points of {metric} against {search.baseline} on the same rows"),
        *FIGURES,
        ("trained", "Share of its whole training that it got"),
        ("made in CPU, s", "Processor time of making it"),
        ("how far it came", "And why no further"),
    ]
    lines = [_line(candidate, search) for candidate in search.candidates]
    return PageTable("All candidates", heads, lines, first="candidate")


def _line(candidate: LookedAt, search: SearchReport) -> Line:
    if not candidate.is_scored:
        return Line(candidate.name, candidate.what, (), reason=search_words.status(candidate))
    cells = [
        percent_cell(candidate.score, 2),
        with_interval(search_words.changed(candidate.drop_pp)),
        *_figures(candidate),
        Cell(f"{candidate.trained:.0%}") if candidate.trained else Cell(),
        number_cell(candidate.cpu_seconds),
        Cell(search_words.status(candidate), is_text=True),
    ]
    is_baseline = candidate.name == search.baseline
    return Line(
        candidate.name,
        candidate.what,
        cells,
        is_baseline=is_baseline,
        is_last=candidate.name == search.selection.winner,
        badge="baseline" if is_baseline else "",
    )


def _figures(candidate: LookedAt | None) -> list[Cell]:
    if candidate is None:
        return [Cell()] * len(FIGURES)
    return [
        number_cell(candidate.end_to_end_ms),
        number_cell(candidate.latency_ms),
        megabytes_cell(candidate.size_bytes),
    ]
