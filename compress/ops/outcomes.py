"""What a model came to on rows, in the four forms that a score and a drop with their intervals can be made of.

Rows that are right or wrong (`Right`), classes that are scored each (`Classes`), counts a row (`Counts`), and a number
a row (`Values`). Two outcomes of the same rows are held against each other by `drop`, and row by row by `changed`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from compress.measurement import Estimate
from compress.ops.scores import f1_macro

Array = np.ndarray[Any, Any]
SAME = 1e-12
"""Rows whose values differ by less are the same: sums of floats may differ by that."""


class Outcome(Protocol):
    """What a model came to on rows, more being better."""

    @property
    def value(self) -> float:
        """The score of all rows, at most 1."""
        ...

    @property
    def rows(self) -> Array:
        """(rows,) How good each is."""
        ...

    def score(self) -> Estimate:
        """The score with its interval."""
        ...

    def drop(self, other: Any) -> Estimate:
        """What another outcome of the same rows loses against this one, with its paired interval."""
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
        """With Wilson's interval."""
        from compress.ops.statistics import accuracy as share  # scipy takes a second to import

        return share(int(self.right.sum()), len(self.right))

    def drop(self, other: "Right") -> Estimate:
        """With Bonett and Price's interval."""
        from compress.ops.statistics import accuracy_drop

        return accuracy_drop(self.right, other.right)


@dataclass(frozen=True, eq=False)
class Classes:
    """A class a row: the score is macro F1.

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
        """With the interval of a smoothed bootstrap."""
        from compress.ops.macro_f1 import f1_macro_interval

        return f1_macro_interval(self.predictions, self.truth)

    def drop(self, other: "Classes") -> Estimate:
        """With the interval of a smoothed bootstrap of the pairs."""
        from compress.ops.macro_f1 import f1_macro_drop

        return f1_macro_drop(self.predictions, other.predictions, self.truth)


@dataclass(frozen=True, eq=False)
class Counts:
    """Things counted in each row: the score is hits / sizes, summed over all.

    For micro F1 a row's size is half of what is said and half of what is there; for a share of tokens, their number.

    Attributes:
        hits: (rows,).
        sizes: (rows,) at least `hits`.
    """

    hits: Array
    sizes: Array

    @property
    def value(self) -> float:
        """The ratio of the sums; 1 where there is nothing to find and nothing was found."""
        whole = float(self.sizes.sum())
        return float(self.hits.sum()) / whole if whole else 1.0

    @property
    def rows(self) -> Array:
        """(rows,) The ratio of each; 1 for one with nothing in it."""
        return np.divide(self.hits, self.sizes, out=np.ones(len(self.sizes)), where=self.sizes > 0)

    def score(self) -> Estimate:
        """With Wilson's interval for the rows that the spread is worth; without one where there is nothing."""
        from compress.ops.ratios import ratio_interval

        return ratio_interval(self.hits, self.sizes) if self.sizes.any() else Estimate(value=self.value)

    def drop(self, other: "Counts") -> Estimate:
        """With the interval of a linearised paired mean."""
        from compress.ops.ratios import ratio_drop

        if not (self.sizes.any() and other.sizes.any()):
            return Estimate(value=self.value - other.value)
        return ratio_drop((self.hits, self.sizes), (other.hits, other.sizes))


@dataclass(frozen=True, eq=False)
class Values:
    """A number a row: the score is their mean.

    Attributes:
        values: (rows,) at most 1.
        is_share: True where rows lie between 0 and 1 and may go from one end to the other, as texts do that are right
            or wrong; False where all move a little.
    """

    values: Array
    is_share: bool = False

    @property
    def value(self) -> float:
        """The mean."""
        return float(self.values.mean())

    @property
    def rows(self) -> Array:
        """(rows,) The numbers themselves."""
        return self.values

    def score(self) -> Estimate:
        """With a t interval; of shares, with Wilson's for the rows that the spread is worth."""
        from compress.ops.means import mean_interval
        from compress.ops.ratios import ratio_interval

        return ratio_interval(self.values, np.ones(len(self.values))) if self.is_share else mean_interval(self.values)

    def drop(self, other: "Values") -> Estimate:
        """With a paired t interval."""
        from compress.ops.means import mean_drop

        return mean_drop(self.values, other.values, 1.0 if self.is_share else None)


def changed(base: Outcome, other: Outcome) -> tuple[Array, Array]:
    """Numbers of the rows that are worse with the other than with the baseline, and of those that are better."""
    gains = other.rows - base.rows
    return np.flatnonzero(gains < -SAME), np.flatnonzero(gains > SAME)
