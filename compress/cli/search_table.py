"""A report's search as tables on a terminal: its finalists, and the candidates on the front."""

from typing import Any

from compress.cli.layouts import Lines, laid_out
from compress.cli.report_table import with_interval
from compress.report import search_words
from compress.report.figure import number
from compress.report.search import Finalist, LookedAt, SearchReport
from compress.report.words import POINTS

FIGURES = ("text to answer", "p50 ms", "MB")
FINALISTS = ("finalist", "verdict", "change", "at least", *FIGURES)
FINALIST_LAYOUTS = (
    FINALISTS,
    ("finalist", "verdict", "change", "at least", "text to answer", "MB"),
    ("finalist", "verdict", "change", "at least"),
    ("finalist", "verdict", "change"),
)
FRONT = ("candidate", "how far", "score", "change", *FIGURES)
FRONT_LAYOUTS = (FRONT, ("candidate", "score", "change", "text to answer", "MB"), ("candidate", "score", "change"))
"""The columns of each layout, for less and less width."""
NAME = 12
"""The least width of a name; a longer name goes on in the next line."""


def finalists_table(search: SearchReport, width: int) -> Any:
    """The table of the finalists, from the safest to the smallest; None if there were none.

    Args:
        width: the width of the terminal.
    """
    rows = [_finalist(finalist, search) for finalist in search.selection.finalists]
    if not rows:
        return None
    star = "; * wins" if search.selection.winner else ""
    title = f"finalists on {search.selection.rows:,} selecting rows, in the order of the test{star}"
    return laid_out(title, FINALIST_LAYOUTS, lambda _: rows, width, least=NAME, words=("verdict",))


def front_table(search: SearchReport, width: int) -> Any:
    """The table of the candidates that no other beats, the best first; None if there are none.

    Args:
        width: the width of the terminal.
    """
    shown = [candidate for candidate in search.scored if candidate.on_front]
    rows = [_candidate(one) for one in sorted(shown, key=lambda one: -(one.score or 0.0))]
    if not rows:
        return None
    title = (
        f"the front: {len(rows)} of {len(search.candidates)} candidates, on {search.searching_rows:,} searching rows"
    )
    return laid_out(title, FRONT_LAYOUTS, lambda _: rows, width, least=NAME, words=("how far",))


def _finalist(finalist: Finalist, search: SearchReport) -> dict[str, Lines]:
    """The lines in each column of a finalist's row."""
    name = f"{finalist.name} *" if finalist.name == search.selection.winner else finalist.name
    row: dict[str, Lines] = {
        "finalist": (name,),
        "verdict": (finalist.verdict,),
        "change": with_interval(-finalist.drop_pp, POINTS),
        "at least": (search_words.bound(finalist),),
    }
    return row | _figures(search.candidate(finalist.name))


def _candidate(candidate: LookedAt) -> dict[str, Lines]:
    """The lines in each column of a candidate's row."""
    row: dict[str, Lines] = {
        "candidate": (candidate.name,),
        "how far": (search_words.status(candidate),),
        "score": (f"{100 * (candidate.score or 0.0):.2f}%",),
        "change": () if candidate.drop_pp is None else with_interval(-candidate.drop_pp, POINTS),
    }
    return row | _figures(candidate)


def _figures(candidate: LookedAt | None) -> dict[str, Lines]:
    if candidate is None or candidate.end_to_end_ms is None or candidate.latency_ms is None:
        return {}
    return {
        "text to answer": (f"{number(candidate.end_to_end_ms)} ms",),
        "p50 ms": (number(candidate.latency_ms),),
        "MB": (f"{(candidate.size_bytes or 0) / 1e6:.2f}",),
    }
