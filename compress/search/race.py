"""The race: candidates are made, scored on searching rows and timed; the best few are trained whole.

Cheap kinds of models come first. Where one that is fitted to the labels seems as good, no model under the teacher is
made: its answers for many variants of the rows cost more than all else. Where one without a transformer does, students
with one, which are slower and larger than any of them, are left out. They begin with a part of their training
(successive halving: Jamieson and Talwalkar 2016, arXiv:1502.07943); the better half goes on to the whole of it.
"""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from compress.errors import CompressError
from compress.formats import size_of
from compress.measurement import Estimate
from compress.recipe.schema import Family
from compress.search.candidates import Candidate
from compress.search.elastic import depths, picked, scored_sizes
from compress.search.front import Standing, front
from compress.search.making import BASELINE, Maker
from compress.search.scoring import Scorer
from compress.search.space import Facts, quick_ending
from compress.search.time_left import TimeLeft
from compress.store.artifacts import Artifact

FIRST_SHARE = 0.25
"""Share of a student's training after which half of them go out."""
FEWEST = 2
"""Students that go on at least."""
SAFE_SHARE = 0.5
"""Share of the margin that a simple model may lose on searching rows to make students needless."""
APART = 1.1
"""How many times less than a finalist the next one costs, at least."""
CATCHES_UP = 0.02
"""Drop that the rest of a training makes up for, at most, as a share of the rows."""
STUDENTS: tuple[Family, ...] = ("layers", "pruned", "narrow", "elastic")
"""The families whose training is long enough to halve."""
TAUGHT: tuple[Family, ...] = ("ngrams", "convolution", *STUDENTS)
"""The families that learn from the teacher's answers."""


@dataclass(frozen=True)
class Looked:
    """A candidate that was made, scored and timed.

    Attributes:
        baseline: the teacher's figures, timed in turns with its own.
        drop: what it loses against the teacher on searching rows, as a share, with its interval.
        out: why it went no further; empty while it is in the race.
        seconds_left: what is left of the search's budget, or, without one, about what the search still takes; None
            where nothing tells it.
    """

    candidate: Candidate
    artifact: Artifact
    standing: Standing
    baseline: Standing
    drop: Estimate
    out: str = ""
    seconds_left: float | None = None


@dataclass
class Race:
    """The race of candidates.

    Attributes:
        margin: the largest drop that the goal allows, as a share.
        minimize: what the winner has least of.
        time_left: returns the seconds that are left for making candidates.
        watch: called with each candidate that was looked at.
        tries_elastic: whether sizes of students are looked for by an elastic student.
        estimate: the estimate of the time left; None with a budget, and where candidates are made side by side.
        deadline: the time of `time.monotonic` at which the budget ends; None without one.
        scored: the number of its sub-models that were scored.
        looked: all that were, by label.
        failed: why candidates could not be made, by label.
    """

    maker: Maker
    scorer: Scorer
    facts: Facts
    margin: float
    minimize: Literal["latency", "size"]
    time_left: Callable[[], float]
    watch: Callable[[Looked], None]
    tries_elastic: bool = False
    estimate: TimeLeft | None = None
    deadline: float | None = None
    scored: int = 0
    looked: dict[str, Looked] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    _left_out: list[Candidate] = field(default_factory=list)
    _pending: list[Candidate] = field(default_factory=list)

    def run(self, pool: Sequence[Candidate]) -> list[Looked]:
        """Look at the candidates; returns those that were trained whole.

        Where a simple model seems as good, what costs more is left out, until `go_on`.
        """
        self._left_out = [one for one in pool if one.family in TAUGHT]
        self._look_at([one for one in pool if one.family not in TAUGHT])
        return self.go_on() if self._simple_enough() is None else self._without_others()

    @property
    def can_go_on(self) -> bool:
        """Whether candidates were left out for a simple model."""
        return bool(self._left_out)

    def go_on(self, failed: Collection[str] = ()) -> list[Looked]:
        """Look at the next of the candidates that were left out; returns all that were trained whole.

        Args:
            failed: labels of candidates that have failed on selecting rows.
        """
        for one in self._left_out:
            self.failed.pop(one.name, None)
        simple = [one for one in self._left_out if one.family not in STUDENTS]
        self._left_out = [one for one in self._left_out if one.family in STUDENTS]
        self._look_at(simple)
        if simple and self._simple_enough(failed) is not None:
            return self._without_others(failed)
        students, self._left_out = self._left_out, []
        self._halve(self._with_elastic(students))
        self._deepen([one for one in students if one.family == "layers"])
        return self._whole()

    def _look_at(self, candidates: Sequence[Candidate]) -> None:
        self._pending = list(candidates)
        self._ahead(candidates)
        for candidate in candidates:
            self._try(candidate)

    def _without_others(self, failed: Collection[str] = ()) -> list[Looked]:
        """What was trained whole, where a simple model seems as good: the others stay left out."""
        simple = self._simple_enough(failed)
        assert simple is not None
        for one in self._left_out:
            self.failed[one.name] = f"{simple.candidate.words} is as good, and costs less"
        return self._whole()

    def _whole(self) -> list[Looked]:
        return [one for one in self.looked.values() if one.candidate.share == 1]

    def look(self, candidate: Candidate) -> Looked:
        """Make, score and time a candidate.

        Raises:
            CompressError: it cannot be made.
        """
        began, made_before = time.monotonic(), self.maker.made
        task = self.maker.task(0)
        baseline = self.maker.make(BASELINE)
        artifact = self.maker.make(candidate)
        truth = task.truth(task.validation)
        before, after = (self.scorer.answers(one, task, task.validation, "validation") for one in (baseline, artifact))
        standings = [
            Standing(
                name=name,
                family=candidate.family,
                score=answers.outcome(truth, task.spec.metric).value,
                latency_ms=times.latency_ms,
                end_to_end_ms=times.end_to_end_ms,
                size_bytes=size_of(one.path, one.format),
            )
            for name, one, answers, times in zip(
                (BASELINE.name, candidate.label),
                (baseline, artifact),
                (before, after),
                self.scorer.times(baseline, artifact, task),
                strict=True,
            )
        ]
        looked = Looked(candidate, artifact, standings[1], standings[0], after.drop(before, truth, task.spec.metric))
        self.looked[candidate.label] = looked
        if self.estimate is not None and self.maker.made > made_before and not candidate.quantized:
            self.estimate.took(candidate, time.monotonic() - began)
        self.watch(replace(looked, seconds_left=self.seconds_left()))
        return looked

    def seconds_left(self) -> float | None:
        """What is left of the budget, or, without one, about what the search still takes; None if nothing tells it."""
        if self.deadline is not None:
            return max(0.0, self.deadline - time.monotonic())
        if self.estimate is None:
            return None
        others = [] if self._simple_enough() else self._left_out
        simple = [one for one in others if one.family not in STUDENTS]
        students = [one for one in others if one.family in STUDENTS]
        halved = [*(one.with_share(FIRST_SHARE) for one in students), *students[: _going_on(students)]]
        elastic = self.tries_elastic and bool(students)
        return self.estimate.seconds([*self._pending, *simple, *halved], elastic=elastic)

    def cost(self, standing: Standing) -> float:
        """The figure that the winner has least of: milliseconds from text to answer, or bytes."""
        return standing.end_to_end_ms if self.minimize == "latency" else float(standing.size_bytes)

    def _ahead(self, candidates: Sequence[Candidate]) -> None:
        """Make candidates side by side, where that is possible and there is time."""
        if self.time_left() > 0:
            self.maker.ahead([one.with_ending(quick_ending(one, self.facts)) for one in candidates])

    def _try(self, candidate: Candidate) -> Looked | None:
        """Look at a candidate; one that cannot be made is written down, and the race goes on."""
        self._pending = [one for one in self._pending if one.label != candidate.label]
        if self.time_left() <= 0:
            self.failed[candidate.label] = "no time was left"
            return None
        try:
            return self.look(candidate.with_ending(quick_ending(candidate, self.facts)))
        except CompressError as error:
            self.failed[candidate.label] = error.what
            return None

    def _simple_enough(self, failed: Collection[str] = ()) -> Looked | None:
        """The best simple model, among those that have not failed, that seems to make others needless."""
        enough = [
            one
            for one in self.looked.values()
            if one.candidate.family not in ("teacher", *STUDENTS)
            and one.candidate.label not in failed
            and one.drop.value <= SAFE_SHARE * self.margin
        ]
        return min(enough, key=lambda one: one.drop.value, default=None)

    def _with_elastic(self, students: Sequence[Candidate]) -> list[Candidate]:
        """The students, with sizes that an elastic student shows, and of the whole layers only as many as it needs."""
        if not self.tries_elastic or self.time_left() <= 0:
            return list(students)
        try:
            scored = scored_sizes(self.maker, self.scorer, self.facts, by_latency=self.minimize == "latency")
        except CompressError as error:
            self.failed["elastic"] = error.what
            return list(students)
        self.scored = len(scored)
        deep = depths(scored, self.margin)
        kept = []
        for one in students:
            if one.family == "layers" and one.steps[-1]["layers"] not in deep:
                self.failed[one.name] = "the elastic student shows another depth"
            else:
                kept.append(one)
        return [*kept, *picked(scored, self.facts, self.margin)]

    def _deepen(self, deeper: Sequence[Candidate]) -> None:
        """Train students of more whole layers, one after the other, until one seems to keep the margin."""
        tried = [one for one in self.looked.values() if one.candidate.family in STUDENTS]
        least = max((one.candidate.steps[-1].get("layers", 0) for one in tried), default=0)
        for student in sorted(deeper, key=lambda one: int(one.steps[-1]["layers"])):
            if any(one.drop.value <= self.margin for one in self._whole() if one.candidate.family in STUDENTS):
                return
            if student.steps[-1]["layers"] > least:
                self.failed.pop(student.name, None)
                self._try(student)

    def _halve(self, students: Sequence[Candidate]) -> None:
        """Train all students for a part of their training, and the better half for all of it."""
        parts = [one.with_share(FIRST_SHARE) for one in students]
        self._pending = [*parts, *students[: _going_on(students)]]
        self._ahead(parts)
        begun = [looked for one in parts if (looked := self._try(one)) is not None]
        promising = [one for one in begun if one.drop.value - _half_width(one.drop) <= self.margin + CATCHES_UP]
        if not promising and begun:
            promising = [min(begun, key=lambda one: one.drop.value)]
        kept = sorted(promising, key=lambda one: self.cost(one.standing))[: _going_on(students)]
        best = min(promising, key=lambda one: one.drop.value, default=None)
        if best is not None and best not in kept:
            kept[-1:] = [best]  # the others may all fail
        for one in begun:
            if one not in kept:
                out = f"after {FIRST_SHARE:.0%} of its training: "
                out += "others cost less" if one in promising else "it loses too much"
                self.looked[one.candidate.label] = replace(one, out=out)
        wholes = [one.candidate.with_share(1.0) for one in kept]
        self._pending = wholes
        self._ahead(wholes)
        for whole in wholes:
            self._try(whole)


def _going_on(students: Sequence[Candidate]) -> int:
    """The most of them that are trained whole."""
    return max(FEWEST, math.ceil(len(students) / 2))


def _half_width(drop: Estimate) -> float:
    return 0.0 if drop.high is None else drop.high - drop.value


def finalists(looked: Sequence[Looked], margin: float, cost: Callable[[Standing], float], most: int) -> list[Looked]:
    """The models that are held against the goal, from the safest to the smallest.

    The safest is the teacher in float. The others are the least costly of the front that seem to keep the margin, or to
    miss it by little: the test would stop at one that misses it. Of two that cost about the same, the safer is taken.

    Args:
        looked: candidates that were trained whole.
        margin: the largest drop that the goal allows, as a share.
        most: the largest number of them.
    """
    on_front = front([one.standing for one in looked])
    safest = [one for one in looked if one.candidate.in_float][:1]
    near = [one for one in looked if one.standing in on_front and one.drop.value <= margin + _half_width(one.drop) / 4]
    ordered: list[Looked] = []
    for one in sorted((one for one in near if one not in safest), key=lambda one: -cost(one.standing)):
        if not ordered or cost(ordered[-1].standing) >= APART * cost(one.standing):
            ordered.append(one)
    others = ordered[max(0, len(ordered) - (most - len(safest))) :]
    if not safest and not others:
        others = [min(looked, key=lambda one: one.drop.value)]
    return [*safest, *others]
