"""A search for the tests of reports, with figures of every kind."""

import numpy as np

from compress.measurement import Estimate
from compress.ops.outcomes import Right
from compress.report.model import Report
from compress.report.search import LookedAt, SearchReport
from compress.search.choice import Entrant, choose
from compress.search.front import marked
from tests.report.reports import sample_report

TEACHER = "teacher in float"
ROWS = 2000


def looked_at(name: str, family: str, score: float, ms: float, megabytes: float, **more) -> LookedAt:
    drop = 100 * (0.94 - score)
    return LookedAt(
        name=name,
        family=family,
        what=more.pop("what", f"a model of the family {family}"),
        score=score,
        drop_pp=Estimate(value=drop, low=drop - 1.1, high=drop + 1.2),
        latency_ms=0.9 * ms,
        end_to_end_ms=ms,
        size_bytes=int(1e6 * megabytes),
        trained=more.pop("trained", 1.0),
        cpu_seconds=60 * ms,
        **more,
    )


CANDIDATES = [
    looked_at(TEACHER, "teacher", 0.94, 24.1, 90.9, what="the teacher", trained=0.0),
    looked_at("teacher, int8", "teacher", 0.939, 9.8, 23.4, trained=0.0),
    looked_at("layers-6", "layers", 0.937, 10.4, 40.0),
    looked_at("layers-4, 25% trained", "layers", 0.91, 5.0, 18.1, trained=0.25, out="after 25% of its training"),
    looked_at("layers-3", "layers", 0.936, 4.1, 14.2),
    looked_at("convolution-256", "convolution", 0.934, 0.61, 5.2),
    looked_at("ngrams-64k", "ngrams", 0.931, 0.08, 2.1),
    looked_at("ngrams-8k", "ngrams", 0.911, 0.06, 0.4),
    looked_at("linear", "linear", 0.905, 0.05, 1.9),
    LookedAt(name="narrow-128", family="narrow", what="a narrow student", out="no time was left"),
]
"""Candidates: one of them was beaten, one went out early, and one was not made."""


def sample_search(
    *drops: tuple[str, int, int], missed: dict[str, str] | None = None, margin_pp: float = 1.0
) -> SearchReport:
    """A search whose finalists have lost and gained so many of 2,000 rows; by default, each verdict comes once or more.

    Args:
        drops: name, rows lost and rows gained of each finalist.
        missed: the size limit that finalists miss, by their names.
    """
    finalists = drops or (
        ("teacher, int8", 8, 6),
        ("layers-3", 18, 12),
        ("convolution-256", 40, 26),
        ("ngrams-64k", 20, 15),
        ("linear", 80, 15),
    )
    most = max(gained for _, _, gained in finalists)
    baseline = np.arange(ROWS) >= most  # wrong on the rows that finalists gain
    entrants = []
    for name, lost, gained in finalists:
        right = baseline.copy()
        right[:gained], right[most : most + lost] = True, False
        limits = (("size", missed[name]),) if missed and name in missed else ()
        entrants.append(Entrant(name, Right(right), limits))
    selection = choose(Right(baseline), entrants, margin_pp)
    return SearchReport(
        minimize="latency",
        baseline=TEACHER,
        fitting_rows=2833,
        searching_rows=500,
        folds=3,
        candidates=marked(CANDIDATES, [name for name, _, _ in finalists]),
        selection=selection,
        minutes=92.3,
        cpu_minutes=171.0,
        teacher_cpu_minutes=31.4,
        student_cpu_minutes=2.12,
    )


def searched_report(search: SearchReport | None = None) -> Report:
    """The sample report as that of a winner, with its figures on test rows."""
    report = sample_report()
    last = report.rows[-1]
    search = search or sample_search()
    drop = last.versus_baseline.drop_pp if last.versus_baseline else None
    report.search = search.with_test(last.quality, drop) if search.winner else search
    return report
