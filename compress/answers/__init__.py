"""What models say of rows, and what is true of them. One file = one kind; the file's name is what a task calls it.

A kind owns how its answers are written, by what metrics they are scored, how two are held against each other, and how
one is shown. It is light to import: the figures are computed in `compress.ops`.
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
    """A score between 0 and 1, by which a recipe may ask to compare answers.

    Attributes:
        title: what sentences and tables call it.
        hub: what model cards call it.
        hub_settings: of the hub's metric of that name.
        hint: what it is, in a sentence, where the title does not say it.
    """

    title: str
    hub: str
    hub_settings: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""


@dataclass(frozen=True)
class Words:
    """How a report speaks of a kind.

    Attributes:
        within, same, kept: what two models agree on, and that they do: "90% of {within}512 rows {same}"; for people
            who read a report, "{kept}".
        labels: what the names are that answers are chosen from.
        part, parts: what slices are of: a class, classes.
        unit, units: what is counted of a slice.
        part_quality, row_quality: what the figure of a slice is, and that of some of the rows.
        scale: the same in a word or two.
        are_right: whether a row is right or wrong, and nothing between.
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
    """What came of one part of what there is to answer: the rows of a class, the entities of a type.

    Attributes:
        size: how much of it the truth holds.
        f1: of a class.
    """

    name: str
    size: int
    outcome: "Outcome"
    f1: float | None = None


class Flipped(NamedTuple):
    """The right answer of a row that changed, and those of the baseline and of another model, for people to read."""

    truth: str
    before: str
    after: str


@dataclass(frozen=True)
class Answers(ABC):
    """An answer for each row, in the form in which reports and measurements hold them.

    Attributes:
        content: one item a row.
        labels: names of the classes, where answers are classes.
        confidences: the probability that a model gives to each of its answers; empty where it gives none.
        METRICS: by the name that a recipe says; the first is the one of a recipe that says none.
    """

    content: list[Any]
    labels: tuple[str, ...] = ()
    confidences: list[float] = field(default_factory=list)

    METRICS: ClassVar[Mapping[str, Metric]]
    WORDS: ClassVar[Words] = Words()

    def __len__(self) -> int:
        return len(self.content)

    def like(self, content: list[Any], confidences: Sequence[float] = ()) -> Self:
        """Other answers of the same kind."""
        return replace(self, content=content, confidences=list(confidences))

    def take(self, rows: Sequence[int]) -> Self:
        """The answers of some rows, by their numbers."""
        return self.like(
            [self.content[row] for row in rows], [self.confidences[row] for row in rows] if self.confidences else ()
        )

    @classmethod
    @abstractmethod
    def check(cls, content: Sequence[Any]) -> None:
        """Refuse what is not of this form; it may come from anywhere.

        Raises:
            ValueError: with what is wrong.
        """

    def outcome(self, truth: Self, metric: str = "") -> "Outcome":
        """What the answers come to against the truth, by one of `METRICS`; the first, where none is said."""
        return self.by_metric(truth, metric or default_metric(type(self)))

    @abstractmethod
    def by_metric(self, truth: Self, metric: str) -> "Outcome":
        """What the answers come to, by a metric that is said."""

    def drop(self, before: Self, truth: Self, metric: str = "") -> "Estimate":
        """What they lose of a metric against a baseline's, as a share, with its paired interval."""
        return before.outcome(truth, metric).drop(self.outcome(truth, metric))

    @abstractmethod
    def same(self, other: Self) -> list[float]:
        """How far both say the same of each row: from 0 to 1."""

    def agreement(self, other: Self) -> float:
        """How far both say the same, as a share of the rows."""
        return sum(self.same(other)) / len(self)

    def beyond_chance(self, other: Self) -> float | None:
        """Agreement beyond what chance would give, at most 1; None where that cannot be told."""
        del other
        return None

    def calibration_error(self, truth: Self) -> float | None:
        """How far the confidences are from the share of right answers; None without any."""
        del truth
        return None

    def counts(self) -> dict[str, int]:
        """How often each label or type comes, by its name; empty for kinds that have none."""
        return {}

    def slices(self, truth: Self) -> list[Slice]:
        """What came of each class or type that the truth holds; empty for kinds that have none."""
        del truth
        return []

    def flipped(self, before: Self, truth: Self, row: int, text: str) -> Flipped:
        """How a row is shown on which this one and the baseline differ.

        Args:
            before: the baseline's.
            text: of the row.
        """
        del text
        return Flipped(truth.shown(row), before.shown(row), self.shown(row))

    def shown(self, row: int) -> str:
        """The answer of a row, for people to read."""
        return str(self.content[row])


def names() -> list[str]:
    """All kinds: the files of this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def find(kind: str) -> type[Answers]:
    """A kind's class.

    Raises:
        InputError: there is none of that name.
    """
    if kind not in names():
        raise InputError(f"unknown kind of answers '{kind:.80}'", fix=did_you_mean(kind, names()))
    found: type[Answers] = import_module(f"{__name__}.{kind}").ANSWERS
    return found


def name_of(answers: Answers | type[Answers]) -> str:
    """The name of a kind."""
    kind = answers if isinstance(answers, type) else type(answers)
    return kind.__module__.rpartition(".")[2]


def default_metric(kind: type[Answers]) -> str:
    """What answers of a kind are scored by where a recipe says nothing."""
    return next(iter(kind.METRICS))


def metrics() -> dict[str, Metric]:
    """All metrics of all kinds, by their names; those of one name are the same."""
    return {name: found for kind in names() for name, found in find(kind).METRICS.items()}


def metric_title(name: str) -> str:
    """What sentences call a metric."""
    return metric(name).title


def metric(name: str) -> Metric:
    """A metric by its name; one that this version does not know is called by that."""
    return metrics().get(name, Metric(name, name))
