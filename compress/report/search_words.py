"""What a report says of a search: sentences, and the words for each candidate and finalist."""

import math

from compress.answers import metric_title
from compress.measurement import Estimate
from compress.report import words
from compress.report.figure import number
from compress.report.model import Report
from compress.report.search import Finalist, LookedAt, SearchReport

MINIMIZED = {"latency": "fastest", "size": "smallest"}
"""The word for what a search looks for, by what it minimizes."""
TEACHER_AS_IT_IS = (
    "the teacher was taken as it is: if it has learned from the rows that were selected on, models of other kinds lose "
    "less than it seems, and models with its weights may lose more; test rows that it has never seen tell"
)
DIGITS = 2
"""Digits of a number of rows that is only about right."""


def result(report: Report) -> list[str]:
    """The result of the search: the winner with its figures, or what comes nearest."""
    search = report.search
    if search is None:
        return []
    metric = metric_title(report.test.metric)
    winner = search.winner
    if winner is None:
        return [_nearest(search)]
    sentence = (
        f"the {MINIMIZED[search.minimize]} finalist that is proved to lose at most "
        f"{words.margin(search.selection.margin_pp)} of {metric} is {winner.name}: "
        f"{changed(winner.drop_pp)} points on {search.selection.rows:,} selecting rows, "
        f"{confidence(search)} at least {bound(winner)}"
    )
    return [sentence, *on_test(search)]


def confidence(search: SearchReport) -> str:
    """How surely a bound holds: `with 95% confidence`."""
    return f"with {100 * search.selection.confidence:g}% confidence"


def on_test(search: SearchReport) -> list[str]:
    """The winner's change on test rows, and how much better it was on selecting rows; empty if it was not tested."""
    if search.test_drop_pp is None or search.optimism_pp is None:
        return []
    optimism = search.optimism_pp
    figure = f"{abs(optimism):z.2f} points"
    how = "as much as" if float(f"{optimism:.2f}") == 0 else f"{figure} {'worse' if optimism > 0 else 'better'} than"
    return [f"on test rows, which the search has not seen: {changed(search.test_drop_pp)} points, {how} when selecting"]


def _nearest(search: SearchReport) -> str:
    """The sentence on a search without a winner."""
    selection = search.selection
    if selection.nearest is None:
        return "there was no finalist"
    nearest = selection.finalist(selection.nearest)
    limits = " and ".join(nearest.limited_by)
    return (
        f"no finalist is proved to keep the goal; {nearest.name} comes nearest ({changed(nearest.drop_pp)} points), "
        f"limited by {limits}: {verdict(nearest, selection.rows)}"
    )


def verdict(finalist: Finalist, rows: int) -> str:
    """The verdict on a finalist with its reason.

    Args:
        rows: number of selecting rows.
    """
    if finalist.verdict == "proved":
        return "proved"
    return f"{finalist.verdict}: {why(finalist, rows)}"


def why(finalist: Finalist, rows: int) -> str:
    """Why a finalist is not proved to keep the goal, or how it misses it; empty if it is proved.

    Args:
        rows: number of selecting rows.
    """
    if finalist.missed:
        return "; ".join(finalist.missed)
    if finalist.verdict == "proved":
        return ""
    if finalist.stopped_by:
        return f"its bound is within the margin, but the test stopped at {finalist.stopped_by}"
    if finalist.rows_needed is None:
        return f"{rows:,} rows cannot tell"
    return f"{rows:,} rows cannot tell, about {_rounded_up(finalist.rows_needed):,} would"


def _rounded_up(count: int) -> int:
    """A number of rows rounded up to two digits."""
    unit: int = 10 ** max(0, math.floor(math.log10(max(1, count))) + 1 - DIGITS)
    return math.ceil(count / unit) * unit


def changed(drop_pp: Estimate | None) -> str:
    """A drop as a change of quality in percentage points: `-0.40 (-0.90 to +0.10)`."""
    return "" if drop_pp is None else words.interval(-drop_pp, words.POINTS)


def bound(finalist: Finalist) -> str:
    """The change of quality that a finalist surely reaches, by its one-sided bound, in percentage points."""
    return "" if finalist.bound_pp is None else f"{-finalist.bound_pp:{words.POINTS}}"


def status(candidate: LookedAt) -> str:
    """How far a candidate came, and why no further."""
    if not candidate.is_scored:
        return f"not made: {candidate.out or 'no reason is known'}"
    if candidate.is_finalist:
        return "finalist"
    if candidate.out:
        return f"out: {candidate.out}"
    return "on the front" if candidate.on_front else f"beaten by {candidate.beaten_by}" if candidate.beaten_by else ""


def cells(candidate: LookedAt) -> list[str]:
    """A candidate's figures as texts: name, what it is, score, change, both times, size, and how far it came."""
    figures = [""] * 5
    if candidate.score is not None and candidate.size_bytes is not None:
        times = [number(value) for value in (candidate.end_to_end_ms, candidate.latency_ms) if value is not None]
        score, size = f"{100 * candidate.score:.2f}%", f"{candidate.size_bytes / 1e6:.2f}"
        figures = [score, changed(candidate.drop_pp), *times, size]
    return [candidate.name, candidate.what, *figures, status(candidate)]


def about(search: SearchReport) -> list[str]:
    """How the search went, a sentence each: its rows, its candidates, its cost, and what to know of its teacher."""
    return [_rows(search), _counts(search), *_cost(search), *([TEACHER_AS_IT_IS] if search.teacher_as_it_is else [])]


def _rows(search: SearchReport) -> str:
    parts = "" if search.folds == 1 else f" in {search.folds} parts, each by models trained on the others"
    return (
        f"fitted on {search.fitting_rows:,} training rows, searched on {search.searching_rows:,}, "
        f"selected on {search.selection.rows:,}{parts}; test rows were read once, by the winner alone"
    )


def _counts(search: SearchReport) -> str:
    scored = search.scored
    trained = [candidate for candidate in scored if candidate.trained]
    partly = sum(candidate.trained < 1 for candidate in trained)
    in_part = f", {partly} of them in part" if partly else ""
    missing = len(search.candidates) - len(scored)
    return (
        f"{len(search.candidates)} candidates: {len(trained)} trained{in_part}, {len(scored) - len(trained)} only "
        f"scored{f', {missing} not made' if missing else ''}"
        f"{f'; {search.sub_models} sizes of an elastic student scored' if search.sub_models else ''}"
        f"; {len(search.selection.finalists)} were finalists"
    )


def _cost(search: SearchReport) -> list[str]:
    costs = [
        (search.cpu_minutes, "the whole search"),
        (None if search.teacher_as_it_is else search.teacher_cpu_minutes, "training the teacher once"),
        (search.student_cpu_minutes, "making the winner once"),
    ]
    known = [f"{what} {number(minutes)}" for minutes, what in costs if minutes is not None]
    wall = "" if search.minutes is None else f"; making all took {number(search.minutes)} minutes"
    return [f"CPU minutes: {', '.join(known)}{wall}"] if known else []
