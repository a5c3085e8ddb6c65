"""The training rows of a model that is fitted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """Training rows with a label each.

    Attributes:
        texts: the texts of each row: one, or two in a task of pairs.
        labels: the label of each row, as a number.
        classes: the number of labels of the task.
        score: scores predicted labels against the right ones, by the task's metric; more is better.
    """

    texts: Sequence[Sequence[str]]
    labels: Sequence[int]
    classes: int
    score: Callable[[Sequence[int], Sequence[int]], float]
