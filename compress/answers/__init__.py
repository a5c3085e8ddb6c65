"""Answers: a model's answers for rows, or the right ones. One file = one kind; a task names it by the file's name.

A kind owns the form of its answers, their metrics, the comparison of two models' answers, and their display. It is
light to import: the figures are computed in `compress.ops`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from compress.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from compress.measurement import Estimate
    from compress.ops.outcomes import Outcome


@dataclass(frozen=True)
class Metric:
    """A metric: a score between 0 and 1 that a recipe may name.

    Attributes:
        title: its name in sentences and tables.
        hub: its name in model cards.
        hub_settings: the settings of the hub's metric of that name.
        hint: a sentence that explains it, if the title does not.
    """

    title: str
    hub: str
    hub_settings: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""


@dataclass(frozen=True)
class Words:
    """The words of reports for a kind of answers.

    Attributes:
        within, same: the words for agreement, as in "90% of {within}512 rows {same}".
        kept: the same as `same` in reports; empty if they use `same`.
        labels: the word for the names that answers are chosen from.
        part, parts: the word for a slice, such as class and classes.
        unit, units: the word for what a slice counts.
        part_quality, row_quality: the name of a slice's figure, and of the figure of some rows.
        scale: a short name of both for the axis of a picture.
        are_right: whether each row is either right or wrong.
    """

    within: str = ""
    same: str = "are answered alike"
    kept: str = ""
    labels: str = "labels"
    part: str = "label"
    parts: str = "labels"
    unit: str = "row"
    units: str = "rows"
    part_quality: str = ""
    row_quality: str = "Quality"
    scale: str = "quality"
    are_right: bool = False


class Slice(NamedTuple):
    """The outcome on one part of the truth: the rows of a class, or the entities of a type.

    Attributes:
        size: the number of rows, or entities, in the part.
        f1: the F1 of a class.
    """

    name: str
    size: int
    outcome: "Outcome"
    f1: float | None = None


class FlipTexts(NamedTuple):
    """The right answer, the baseline's and another model's answer for one row, as texts for people to read."""

    truth: str
    before: str
    after: str


@dataclass(frozen=True)
class Answers(ABC):
    """An answer for each row, in the form of reports and measurements.

    Attributes:
        content: one item for each row.
        labels: the names of the classes, if answers are classes.
        confidences: the probability that a model gives to each of its answers; empty if it gives none.
        METRICS: the metrics by their names in recipes; the first is the default.
        WORDS: the words of reports.
    """

    content: list[Any]
    labels: tuple[str, ...] = ()
    confidences: list[float] = field(default_factory=list)

    METRICS: ClassVar[Mapping[str, Metric]]
    WORDS: ClassVar[Words] = Words()

    def __len__(self) -> int:
        return len(self.content)

    def with_content(self, content: list[Any], confidences: Sequence[float] = ()) -> Self:
        """Answers of the same kind and labels with other content."""
        return replace(self, content=content, confidences=list(confidences))

    def take(self, rows: Sequence[int]) -> Self:
        """The answers of some rows, by their numbers."""
        return self.with_content(
            [self.content[row] for row in rows], [self.confidences[row] for row in rows] if self.confidences else ()
        )

    @classmethod
    @abstractmethod
    def check(cls, content: Sequence[Any]) -> None:
        """Refuse content that does not have this kind's form; it may come from anywhere.

        Raises:
            ValueError: the form is wrong.
        """

    def outcome(self, truth: Self, metric: str = "") -> "Outcome":
        """The outcome of the answers against the truth by one of `METRICS`; the first one if `metric` is empty.

        Raises:
            InputError: these answers have no metric of that name.
        """
        if metric and metric not in self.METRICS:
            raise InputError(f"unknown metric '{metric:.80}'", fix=did_you_mean(metric, self.METRICS))
        return self.by_metric(truth, metric or default_metric(type(self)))

    @abstractmethod
    def by_metric(self, truth: Self, metric: str) -> "Outcome":
        """The outcome of the answers by the metric of that name."""

    def drop(self, before: Self, truth: Self, metric: str = "") -> "Estimate":
        """The drop of a metric from a baseline's answers to these, as a share, with its paired interval."""
        return before.outcome(truth, metric).drop(self.outcome(truth, metric))

    @abstractmethod
    def same(self, other: Self) -> list[float]:
        """The agreement of both on each row, from 0 to 1."""

    def agreement(self, other: Self) -> float:
        """The mean agreement of both over all rows."""
        return sum(self.same(other)) / len(self)

    def beyond_chance(self, other: Self) -> float | None:
        """The agreement beyond what chance would give, at most 1; None if it is not defined."""
        del other
        return None

    def calibration_error(self, truth: Self) -> float | None:
        """The mean difference of confidences from the share of right answers; None without confidences."""
        del truth
        return None

    def counts(self) -> dict[str, int]:
        """The number of each label or type by its name; empty for kinds without labels."""
        return {}

    def slices(self, truth: Self) -> list[Slice]:
        """The slice of each class or type in the truth; empty for kinds without labels."""
        del truth
        return []

    def flip_texts(self, before: Self, truth: Self, row: int, text: str) -> FlipTexts:
        """The texts for a row on which these answers and the baseline's differ.

        Args:
            before: the baseline's answers.
            text: the text of the row.
        """
        del text
        return FlipTexts(truth.display(row), before.display(row), self.display(row))

    def display(self, row: int) -> str:
        """The answer for a row, as a text for people to read."""
        return str(self.content[row])


def names() -> list[str]:
    """The names of all kinds: the files of this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def find(kind: str) -> type[Answers]:
    """The class of a kind.

    Raises:
        InputError: there is no kind of that name.
    """
    if kind not in names():
        raise InputError(f"unknown kind of answers '{kind:.80}'", fix=did_you_mean(kind, names()))
    kind_class: type[Answers] = import_module(f"{__name__}.{kind}").ANSWERS
    return kind_class


def name_of(answers: Answers | type[Answers]) -> str:
    """The name of a kind."""
    kind = answers if isinstance(answers, type) else type(answers)
    return kind.__module__.rpartition(".")[2]


def default_metric(kind: type[Answers]) -> str:
    """The name of a kind's default metric."""
    return next(iter(kind.METRICS))


def metrics() -> dict[str, Metric]:
    """All metrics of all kinds by name; metrics of one name are the same."""
    return {name: item for kind in names() for name, item in find(kind).METRICS.items()}


def metric_title(name: str) -> str:
    """The title of a metric."""
    return metric(name).title


def metric(name: str) -> Metric:
    """The metric of a name; a metric that this version does not know has its name as title."""
    return metrics().get(name, Metric(name, name))
