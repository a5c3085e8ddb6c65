"""The outcomes of a model on rows, in the four forms that give a score and a paired drop with intervals.

The forms are rows that are right or wrong (`Right`), classes with a score each (`Classes`), counts for each row
(`Counts`), and a number for each row (`Values`). Two outcomes of the same rows are compared by `drop`, and row by row
by `changed`.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from compress.measurement import CONFIDENCE, Estimate
from compress.ops.scores import f1_macro

Array = np.ndarray[Any, Any]
SAME = 1e-12
"""Difference of values below which rows count as equal: sums of floats may differ by so much."""


class Outcome(Protocol):
    """The outcome of a model on rows; more is better."""

    @property
    def value(self) -> float:
        """The score of all rows, at most 1."""
        ...

    @property
    def rows(self) -> Array:
        """The value of each row, (rows,)."""
        ...

    def score(self) -> Estimate:
        """The score with its interval."""
        ...

    def drop(self, other: Any, confidence: float = CONFIDENCE) -> Estimate:
        """The loss of another outcome of the same rows against this one, with its paired interval."""
        ...

    def repeated(self, times: int) -> Self:
        """The outcome if each row were there so many times."""
        ...


@dataclass(frozen=True, eq=False)
class Right:
    """Rows that are right or wrong: the score is the share of the right ones.

    Attributes:
        right: (rows,) of bool.
    """

    right: Array

    @property
    def value(self) -> float:
        """Share of right rows."""
        return float(self.right.mean())

    @property
    def rows(self) -> Array:
        """(rows,) 1 for a right one, 0 for a wrong one."""
        return self.right.astype(float)

    def score(self) -> Estimate:
        """The share of right rows with Wilson's interval."""
        from compress.ops.statistics import accuracy as share  # scipy takes a second to import

        return share(int(self.right.sum()), len(self.right))

    def drop(self, other: "Right", confidence: float = CONFIDENCE) -> Estimate:
        """The loss of right rows with Bonett and Price's interval."""
        from compress.ops.statistics import accuracy_drop

        return accuracy_drop(self.right, other.right, confidence)

    def repeated(self, times: int) -> "Right":
        """The outcome if each row were there so many times."""
        return Right(np.tile(self.right, times))


@dataclass(frozen=True, eq=False)
class Classes:
    """A class for each row: the score is macro F1.

    Attributes:
        predictions: (rows,) class indices.
        truth: (rows,) class indices.
    """

    predictions: Array
    truth: Array

    @property
    def value(self) -> float:
        """Unweighted mean of the classes' F1."""
        return f1_macro(self.predictions, self.truth)

    @property
    def rows(self) -> Array:
        """(rows,) 1 for a right one, 0 for a wrong one."""
        return Right(self.predictions == self.truth).rows

    def score(self) -> Estimate:
        """Macro F1 with the interval of a smoothed bootstrap."""
        from compress.ops.macro_f1 import f1_macro_interval

        return f1_macro_interval(self.predictions, self.truth)

    def drop(self, other: "Classes", confidence: float = CONFIDENCE) -> Estimate:
        """The loss of macro F1 with the interval of a smoothed bootstrap of the pairs."""
        from compress.ops.macro_f1 import f1_macro_drop

        return f1_macro_drop(self.predictions, other.predictions, self.truth, confidence)

    def repeated(self, times: int) -> "Classes":
        """The outcome if each row were there so many times."""
        return Classes(np.tile(self.predictions, times), np.tile(self.truth, times))


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts for each row: the score is the sum of the hits divided by the sum of the sizes.

    For micro F1, the size of a row is half the number of predicted plus half the number of true things; for a share of
    tokens, it is their number.

    Attributes:
        hits: (rows,).
        sizes: (rows,) at least `hits`.
    """

    hits: Array
    sizes: Array

    @classmethod
    def of_sets(cls, pairs: Iterable[tuple[Set[Any], Set[Any]]]) -> "Counts":
        """The counts of micro F1, from the predicted and the true things of each row."""
        rows = [(len(predicted & true), (len(predicted) + len(true)) / 2) for predicted, true in pairs]
        hits, sizes = np.array(rows, float).reshape(-1, 2).T
        return cls(hits, sizes)

    @property
    def value(self) -> float:
        """The ratio of the sums; 1 if there is nothing to find and nothing was predicted."""
        whole = float(self.sizes.sum())
        return float(self.hits.sum()) / whole if whole else 1.0

    @property
    def rows(self) -> Array:
        """The ratio of each row, (rows,); 1 for a row with nothing in it."""
        return np.divide(self.hits, self.sizes, out=np.ones(len(self.sizes)), where=self.sizes > 0)

    def score(self) -> Estimate:
        """The ratio with Wilson's interval for the effective number of rows; without one if there is nothing."""
        from compress.ops.ratios import ratio_interval

        return ratio_interval(self.hits, self.sizes) if self.sizes.any() else Estimate(value=self.value)

    def drop(self, other: "Counts", confidence: float = CONFIDENCE) -> Estimate:
        """The loss of the ratio with the interval of a linearised paired mean."""
        from compress.ops.ratios import ratio_drop

        if not (self.sizes.any() and other.sizes.any()):
            return Estimate(value=self.value - other.value)
        return ratio_drop((self.hits, self.sizes), (other.hits, other.sizes), confidence)

    def repeated(self, times: int) -> "Counts":
        """The outcome if each row were there so many times."""
        return Counts(np.tile(self.hits, times), np.tile(self.sizes, times))


@dataclass(frozen=True, eq=False)
class Values:
    """A number for each row: the score is the mean.

    Attributes:
        values: (rows,) at most 1.
        is_share: True if rows are between 0 and 1 and may change from one end to the other, such as texts that are
            right or wrong; False if all rows change a little.
    """

    values: Array
    is_share: bool = False

    @property
    def value(self) -> float:
        """The mean."""
        return float(self.values.mean())

    @property
    def rows(self) -> Array:
        """The number of each row, (rows,)."""
        return self.values

    def score(self) -> Estimate:
        """The mean with a t interval; for shares, with Wilson's interval for the effective number of rows."""
        from compress.ops.means import mean_interval
        from compress.ops.ratios import ratio_interval

        return ratio_interval(self.values, np.ones(len(self.values))) if self.is_share else mean_interval(self.values)

    def drop(self, other: "Values", confidence: float = CONFIDENCE) -> Estimate:
        """The loss of the mean with a paired t interval."""
        from compress.ops.means import mean_drop

        return mean_drop(self.values, other.values, 1.0 if self.is_share else None, confidence)

    def repeated(self, times: int) -> "Values":
        """The outcome if each row were there so many times."""
        return Values(np.tile(self.values, times), self.is_share)


def changed(base: Outcome, other: Outcome) -> tuple[Array, Array]:
    """Indices of the rows that are worse than with the baseline, and of those that are better."""
    gains = other.rows - base.rows
    return np.flatnonzero(gains < -SAME), np.flatnonzero(gains > SAME)
