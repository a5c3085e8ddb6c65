"""Selecting: finalists against the teacher on rows that neither training nor searching has seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from compress.answers import Answers
from compress.ops.outcomes import Outcome
from compress.search.candidates import Candidate
from compress.search.making import BASELINE, Maker
from compress.search.scoring import Scorer


@dataclass
class Selector:
    """What finalists answer on all selecting rows: of each part by models that have not seen it.

    The parts have no row in common, so their rows are pooled: each training row is selected on at most once.
    """

    maker: Maker
    scorer: Scorer
    _pooled: dict[str, Answers] = field(default_factory=dict)

    def truth(self) -> Answers:
        """The right answers of all parts."""
        parts = [self.maker.task(fold) for fold in range(self.maker.folds)]
        return _pool([task.truth(task.test) for task in parts])

    def answers(self, candidate: Candidate) -> Answers:
        """A candidate's answers of all parts; its models of each part are made where they are missing."""
        if candidate.label not in self._pooled:
            self._pooled[candidate.label] = _pool(
                [
                    self.scorer.answers(self.maker.make(candidate, fold), task, task.test, "test")
                    for fold in range(self.maker.folds)
                    for task in [self.maker.task(fold)]
                ]
            )
        return self._pooled[candidate.label]

    def outcomes(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Outcome, Outcome]]:
        """For each candidate, one after the other, the outcome of the teacher and its own; made when they are asked."""
        self.maker.ahead(candidates, range(self.maker.folds))
        truth, metric = self.truth(), self.maker.task(0).spec.metric
        before = self.answers(BASELINE).outcome(truth, metric)
        for candidate in candidates:
            yield before, self.answers(candidate).outcome(truth, metric)


def _pool(parts: Sequence[Answers]) -> Answers:
    content: list[Any] = [item for part in parts for item in part.content]
    return parts[0].with_content(content)
