"""The report's part on a search: what was looked at, what it took, and which finalists were held against the goal."""

from collections.abc import Sequence

from compress.measurement import Estimate
from compress.planning.plan import PlannedStep
from compress.report.search import LookedAt, SearchReport, Selection
from compress.search.candidates import Candidate
from compress.search.front import marked
from compress.search.making import BASELINE, Maker
from compress.search.race import Looked, Race


def describe(race: Race, selection: Selection, winner: Candidate) -> SearchReport:
    """The search as a report shows it, without the winner's figures on test rows.

    Args:
        winner: the candidate whose recipe runs on all training rows.
    """
    maker = race.maker
    task = maker.task(0)
    tried = [_looked_at(one, maker) for one in race.looked.values()]
    refused = [LookedAt(name=name, family="", what="", out=why) for name, why in race.failed.items()]
    finalists = [finalist.name for finalist in selection.finalists]
    return SearchReport(
        minimize=race.minimize,
        baseline=BASELINE.name,
        fitting_rows=len(task.train),
        searching_rows=len(task.validation),
        teacher_as_it_is=_is_taken(maker.base(0).steps),
        folds=maker.folds,
        candidates=[*marked(tried, finalists), *refused],
        sub_models=race.scored,
        selection=selection,
        minutes=maker.seconds() / 60,
        cpu_minutes=maker.cpu_seconds() / 60,
        teacher_cpu_minutes=maker.cpu_seconds_of(BASELINE) / 60,
        student_cpu_minutes=maker.cpu_seconds_of(winner) / 60,
    )


def _is_taken(steps: Sequence[PlannedStep]) -> bool:
    """Whether the teacher's steps take a fine-tuned model as it is."""
    return any(step.stage.makes_teacher and not step.stage.trainings(step.config) for step in steps)


def _looked_at(looked: Looked, maker: Maker) -> LookedAt:
    candidate, standing = looked.candidate, looked.standing
    return LookedAt(
        name=candidate.label,
        family=candidate.family,
        what=candidate.words,
        trained=candidate.share if candidate.is_trained else 0.0,
        score=standing.score,
        drop_pp=in_points(looked.drop),
        latency_ms=standing.latency_ms,
        end_to_end_ms=standing.end_to_end_ms,
        size_bytes=standing.size_bytes,
        cpu_seconds=maker.cpu_seconds_of(candidate),
        out=looked.out,
    )


def in_points(share: Estimate) -> Estimate:
    """A share in percentage points."""
    low, high = (None if end is None else 100 * end for end in (share.low, share.high))
    return Estimate(value=100 * share.value, low=low, high=high)
