"""The part of a report on a search: what was looked at, which finalists were held against the goal, and what won."""

from typing import Literal, Self

from pydantic import Field, model_validator

from compress.facts import Printable
from compress.measurement import CONFIDENCE, Estimate
from compress.report.part import Part

FinalistVerdict = Literal["proved", "not proved", "missed"]
"""Whether a finalist keeps the goal: surely; by its figures alone, on too few rows; or not."""
Limit = Literal["quality", "speed", "size"]
"""The kinds of limits that a goal has."""


class LookedAt(Part):
    """A candidate of a search; figures are None if it was not made."""

    name: Printable
    family: Printable
    what: Printable
    """What it is, in words."""
    trained: float = Field(0.0, ge=0, le=1)
    """Share of its whole training that it got; 0 if nothing was trained for it."""
    score: float | None = Field(None, ge=-1, le=1)
    """The task's metric on searching rows."""
    drop_pp: Estimate | None = None
    """Quality lost against the baseline on searching rows, in percentage points."""
    latency_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Median latency at the target's sequence length."""
    end_to_end_ms: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Median time from a row's texts to its answer."""
    size_bytes: int | None = Field(None, gt=0)
    cpu_seconds: float | None = None
    """Processor time of making it."""
    out: Printable = ""
    """When and why it went no further: `after 25% of its training, as others are smaller`."""
    on_front: bool = False
    """Whether no other candidate beats it in quality, time from text to answer, and size."""
    beaten_by: Printable = ""
    """A candidate that beats it in all three; empty on the front."""
    is_finalist: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        figures = (self.score, self.latency_ms, self.end_to_end_ms, self.size_bytes)
        if len({figure is None for figure in figures}) != 1:
            raise ValueError("a candidate has all of score, latency, time from text to answer and size, or none")
        return self

    @property
    def is_scored(self) -> bool:
        """Whether it was made, scored and timed."""
        return self.score is not None


class Finalist(Part):
    """A finalist against the baseline on selecting rows."""

    name: Printable
    drop_pp: Estimate
    """Quality lost, in percentage points, with its paired 95% interval."""
    bound_pp: float | None
    """The one-sided bound of the drop: the goal is proved if it is at most the largest drop that is allowed."""
    verdict: FinalistVerdict
    rows_needed: int | None = None
    """Number of selecting rows at which the bound would be the largest drop that is allowed, if all else stayed; None
    if no number would do."""
    missed: list[str] = Field(default_factory=list)
    """A sentence for each limit of the goal that its figures miss."""
    limited_by: list[Limit] = Field(default_factory=list)
    """The limits that it misses, or is not proved to keep."""
    stopped_by: Printable = ""
    """The safer finalist at which the test stopped, if this one's own bound is small enough."""


class Selection(Part):
    """The fixed-sequence test of the finalists, from the safest to the smallest; it stops at the first that fails."""

    margin_pp: float
    """Largest drop that is allowed, in percentage points."""
    confidence: float = CONFIDENCE
    """Confidence of the one-sided bounds: above 95% where simple models are, or were, tested before all others."""
    rows: int
    """Number of selecting rows."""
    finalists: list[Finalist]
    winner: Printable | None = None
    """The last finalist that is proved to keep the goal; None if not one is."""
    nearest: Printable | None = None
    """If there is no winner, the finalist that comes nearest."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [finalist.name for finalist in self.finalists]
        if len(set(names)) != len(names):
            raise ValueError("finalists have names of their own")
        if any(name is not None and name not in names for name in (self.winner, self.nearest)):
            raise ValueError("the winner, or the nearest, is a finalist")
        return self

    def finalist(self, name: str) -> Finalist:
        """The finalist of a name."""
        return next(finalist for finalist in self.finalists if finalist.name == name)


class SearchReport(Part):
    """A search for the smallest or fastest model that keeps a goal."""

    minimize: Literal["latency", "size"]
    """What the winner has least of, among the models that are proved to keep the goal."""
    baseline: Printable
    """The candidate with which all are compared."""
    fitting_rows: int
    """Training rows that candidates learned from; on average, if there are several parts."""
    searching_rows: int
    """Training rows that candidates were scored on."""
    teacher_as_it_is: bool = False
    """Whether the teacher came fine-tuned, and may have learned from the rows that are held out."""
    folds: int = 1
    """Number of parts of the training rows that were selected on, each with models trained on the others."""
    candidates: list[LookedAt]
    """All candidates, in the order in which they were looked at."""
    sub_models: int = 0
    """Number of an elastic student's sub-models that were scored as they are."""
    selection: Selection
    test_score: Estimate | None = None
    """The winner's score on test rows."""
    test_drop_pp: Estimate | None = None
    """What the winner loses against the baseline on test rows, in percentage points."""
    optimism_pp: float | None = None
    """Points by which the winner's change of quality was better on selecting rows than on test rows."""
    minutes: float | None = None
    """Time by the clock that making all of it took."""
    cpu_minutes: float | None = None
    """Processor time of the whole search."""
    teacher_cpu_minutes: float | None = None
    """Processor time of training the teacher once."""
    student_cpu_minutes: float | None = None
    """Processor time of making the winner once, without its teacher."""

    @property
    def winner(self) -> Finalist | None:
        """The winner on selecting rows."""
        name = self.selection.winner
        return None if name is None else self.selection.finalist(name)

    @property
    def scored(self) -> list[LookedAt]:
        """The candidates that were made, scored and timed."""
        return [candidate for candidate in self.candidates if candidate.is_scored]

    def candidate(self, name: str) -> LookedAt | None:
        """The candidate of a name; None if there is none."""
        return next((candidate for candidate in self.candidates if candidate.name == name), None)

    def with_test(self, score: Estimate | None, drop_pp: Estimate | None) -> "SearchReport":
        """The same search with the winner's figures on test rows, and the optimism that follows from them.

        Args:
            drop_pp: what it loses against the baseline; None if it is the baseline.
        """
        selected = None if self.winner is None else self.winner.drop_pp.value
        optimism = None if selected is None or drop_pp is None else drop_pp.value - selected
        return self.model_copy(update={"test_score": score, "test_drop_pp": drop_pp, "optimism_pp": optimism})
