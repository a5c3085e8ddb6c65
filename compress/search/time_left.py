"""The time that a search still takes, estimated from what its models took so far.

Students with a transformer are compared by their work: the rows that they see, times their share of the teacher's
layers and width. Until one is made, the teacher's own training says what a row takes. The estimate counts the
candidates that are still to be made, the teachers and finalists of the other parts, and the winner of all rows; not
what is measured at the end, nor a second look.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, linear_regression

from compress.recipe.schema import Family
from compress.search.candidates import Candidate
from compress.search.space import Facts, elastic_step

FITTED = 0.57
"""Share of the training rows that a part's models are trained on, about."""
ELASTIC_WORK = 2.0
"""Work of an elastic student on a row, over the teacher's: its largest size, two of random sizes, and its smallest."""


@dataclass(frozen=True)
class Amount:
    """Seconds, and the work that was done in them: rows of the whole teacher that were trained on."""

    seconds: float
    work: float


def work(candidate: Candidate, facts: Facts) -> float:
    """The work of a student's training."""
    if facts.shape is None:
        return 0.0
    layers, hidden, passes = facts.shape.layers, facts.shape.hidden, 0.0
    for step in candidate.steps:
        layers, hidden = step.get("layers", layers), step.get("hidden", hidden)
        passes += (
            step.get("recover", step).get("epochs", 0.0) * layers / facts.shape.layers * hidden / facts.shape.hidden
        )
    return passes * candidate.share * facts.seen_rows


@dataclass
class TimeLeft:
    """The estimate of a search's time.

    Attributes:
        students: the families that are compared by their work.
        teacher: the time and work of the first part's teacher; its work is 0 if it was not trained.
        folds: the number of parts that are selected on.
        finalists: the most models that are selected on.
    """

    facts: Facts
    students: Sequence[Family]
    teacher: Amount
    folds: int
    finalists: int
    _simple: dict[Family, list[float]] = field(default_factory=lambda: defaultdict(list))
    _trained: list[Amount] = field(default_factory=list)
    _wholes: list[float] = field(default_factory=list)

    def took(self, candidate: Candidate, seconds: float) -> None:
        """Take note of the seconds in which a candidate was made, scored and timed."""
        if candidate.share == 1:
            self._wholes.append(seconds)
        if candidate.family in self.students:
            self._trained.append(Amount(seconds, work(candidate, self.facts)))
        else:
            self._simple[candidate.family].append(seconds)

    def seconds(self, pending: Sequence[Candidate], *, elastic: bool = False) -> float | None:
        """The time that is left, or None where nothing tells it yet.

        Args:
            pending: candidates that are still to be made.
            elastic: whether an elastic student is still to be trained.
        """
        costs = [self._cost(one) for one in pending]
        elastic_cost = self._elastic() if elastic else 0.0
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs) or elastic_cost is None:
            return None
        wholes = [*self._wholes, *(cost for one, cost in zip(pending, known, strict=True) if one.share == 1)]
        if not wholes:
            return None
        mean = sum(wholes) / len(wholes)
        part = self.teacher.seconds + min(self.finalists - 1, len(wholes)) * mean
        return sum(known) + elastic_cost + (self.folds - 1) * part + (self.teacher.seconds + mean) / FITTED

    def _cost(self, candidate: Candidate) -> float | None:
        """The seconds that a candidate takes; those of an unknown simple family are those of others."""
        if candidate.family in self.students:
            return self._seconds_for(work(candidate, self.facts))
        times: Mapping[Family, list[float]] = self._simple
        own = times.get(candidate.family) or [seconds for family in times.values() for seconds in family]
        return sum(own) / len(own) if own else None

    def _elastic(self) -> float | None:
        return self._seconds_for(ELASTIC_WORK * elastic_step(self.facts)["epochs"] * self.facts.seen_rows)

    def _seconds_for(self, amount: float) -> float | None:
        """The seconds of some work: by a line through all students, with what any of them takes beside its training."""
        known = self._trained or [self.teacher]
        times, works = [one.seconds for one in known], [one.work for one in known]
        if len(set(works)) > 1:
            slope, beside = linear_regression(works, times)
            if slope < 0:
                return fmean(times)
            if beside > 0:
                return beside + slope * amount
        return sum(times) / sum(works) * amount if sum(works) > 0 else None
