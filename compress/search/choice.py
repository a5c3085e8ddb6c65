"""The honest choice among finalists: a fixed-sequence test on rows that neither training nor searching has seen.

The finalists are ordered before these rows are looked at, from the safest to the smallest. Each is tested at a level of
5% against the hypothesis that it loses more than the margin, and the test stops at the first that fails. A wrong claim
is first made at the first finalist that truly loses too much; so the chance of any wrong claim is 5% for all of them
together, and the level need not be divided among them (Maurer et al. 1995; Wiens 2003). The other
limits of a goal, on speed and size, do not depend on these rows. A finalist that misses one takes no part in the test.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from compress.measurement import CONFIDENCE, Estimate
from compress.ops.one_sided import drop_bound, rows_needed
from compress.ops.outcomes import Outcome
from compress.recipe.schema import Goal
from compress.report.goal import drop_missed, size_missed, speed_missed
from compress.report.search import Finalist, FinalistVerdict, Limit, Selection
from compress.search.front import Standing


@dataclass(frozen=True)
class Entrant:
    """A finalist before the test.

    Attributes:
        outcome: on all selecting rows, the same as the baseline's.
        missed: what it misses of the goal's other limits, a sentence for each kind.
    """

    name: str
    outcome: Outcome
    missed: tuple[tuple[Limit, str], ...] = ()


def choose(
    baseline: Outcome, entrants: Iterable[Entrant], margin_pp: float, confidence: float = CONFIDENCE
) -> Selection:
    """The smallest finalist that is proved to keep the goal, with a verdict on each.

    Args:
        baseline: the baseline's outcome on selecting rows.
        entrants: the finalists, from the safest to the smallest; each is asked for when it is tested.
        margin_pp: the largest drop that is allowed, in percentage points.
        confidence: of the one-sided bounds. Where the same rows are tested on again, the level is divided.
    """
    finalists: list[Finalist] = []
    stopped_by = ""
    for entrant in entrants:
        finalist = _judged(baseline, entrant, margin_pp, stopped_by, confidence)
        finalists.append(finalist)
        if not stopped_by and not entrant.missed and finalist.verdict != "proved":
            stopped_by = finalist.name
    proved = [finalist.name for finalist in finalists if finalist.verdict == "proved"]
    return Selection(
        margin_pp=margin_pp,
        confidence=confidence,
        rows=len(baseline.rows),
        finalists=finalists,
        winner=proved[-1] if proved else None,
        nearest=None if proved or not finalists else min(finalists, key=_shortfall).name,
    )


def other_limits(goal: Goal | None, standing: Standing, baseline: Standing) -> tuple[tuple[Limit, str], ...]:
    """What a finalist misses of a goal's limits on speed and size, a sentence for each, by its figures in the search.

    Args:
        baseline: the figures of the model that speed-ups are against.
    """
    if goal is None:
        return ()
    faster, whole = baseline.latency_ms / standing.latency_ms, baseline.end_to_end_ms / standing.end_to_end_ms
    missed: list[tuple[Limit, str]] = []
    if goal.min_speedup is not None and faster < goal.min_speedup:
        missed.append(("speed", speed_missed(faster, goal.min_speedup)))
    if goal.min_end_to_end_speedup is not None and whole < goal.min_end_to_end_speedup:
        missed.append(("speed", speed_missed(whole, goal.min_end_to_end_speedup, " end to end")))
    if goal.max_size_mb is not None and standing.size_bytes / 1e6 > goal.max_size_mb:
        missed.append(("size", size_missed(standing.size_bytes, goal.max_size_mb)))
    return tuple(missed)


def _judged(baseline: Outcome, entrant: Entrant, margin_pp: float, stopped_by: str, confidence: float) -> Finalist:
    """A finalist with its verdict.

    Args:
        stopped_by: the finalist at which the test has stopped; empty if it goes on.
    """
    drop, bound = baseline.drop(entrant.outcome), drop_bound(baseline, entrant.outcome, confidence)
    drop_pp = Estimate(**{end: _points(share) for end, share in drop.model_dump().items()})
    bound_pp = _points(bound)
    missed = list(entrant.missed)
    if drop_pp.value > margin_pp:
        missed.insert(0, ("quality", drop_missed(drop_pp, margin_pp)))
    holds = bound_pp is not None and bound_pp <= margin_pp
    verdict: FinalistVerdict = "missed" if missed else "proved" if holds and not stopped_by else "not proved"
    limited_by = [limit for limit, _ in missed] or (["quality"] if verdict == "not proved" else [])
    return Finalist(
        name=entrant.name,
        drop_pp=drop_pp,
        bound_pp=bound_pp,
        verdict=verdict,
        rows_needed=None if holds else rows_needed(baseline, entrant.outcome, margin_pp / 100, confidence),
        missed=[sentence for _, sentence in missed],
        limited_by=list(dict.fromkeys(limited_by)),
        stopped_by=stopped_by if holds and verdict == "not proved" else "",
    )


def _points(share: float | None) -> float | None:
    """A share in percentage points; 0.9 - 0.875 is not quite 0.025."""
    return None if share is None else round(100 * share, 9)


def _shortfall(finalist: Finalist) -> tuple[int, float, float]:
    """How far a finalist is from the goal: by the limits that it misses, the rows that it lacks, and its drop."""
    keeps = "quality" not in finalist.limited_by or finalist.stopped_by
    rows = finalist.rows_needed or (0 if keeps else float("inf"))
    return len(finalist.missed), rows, finalist.drop_pp.value
