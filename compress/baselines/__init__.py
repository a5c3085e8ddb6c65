"""Simple baselines: what a compressed model has to beat. One file = one baseline; a recipe names it by the file's name.

They learn from the training rows of a task whose answers are labels, and answer from raw text, without a tokenizer.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from compress.answers import name_of
from compress.errors import InputError
from compress.fitting.rows import Rows
from compress.registry import Registry
from compress.tasks import Task

KIND = "label"
"""The kind of answers that the baselines give."""
REGISTRY = Registry("baseline", __name__, "BASELINE")
"""All baselines."""
Names = Sequence[str] | Literal["none"] | None
"""What a recipe says of baselines: their names, `none`, or nothing, which means all."""


class Fitted(Protocol):
    """A fitted baseline."""

    @property
    def parameters(self) -> int:
        """The number of all numbers in it."""
        ...

    def label(self, texts: Sequence[str]) -> int:
        """The label of a row, from its text, and its second one in a task of pairs."""
        ...


class Baseline(Protocol):
    """A baseline.

    Attributes:
        title: what it is, in a report's sentences: `a linear model on words`.
        short: the same for tables: `linear on words`.
        version: the version of its fitting, raised when it gives another model.
        settings: all that its fitting depends on besides the rows and the seed.
    """

    title: str
    short: str
    version: int
    settings: dict[str, Any]

    def refuse(self, labels: Sequence[int], classes: int) -> str | None:
        """Why it cannot be fitted on rows with these labels, of so many classes; or None."""
        ...

    def fit(self, rows: Rows, seed: int, out: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Fit it, write it to `out`, and return the facts of the choice of its settings.

        Raises:
            InputError: these rows do not do.
        """
        ...

    def load(self, folder: Path) -> Fitted:
        """The baseline that `fit` wrote."""
        ...


def find(name: str) -> Baseline:
    """The baseline of that name."""
    baseline: Baseline = REGISTRY.find(name)
    return baseline


def chosen(names: Names, task: Task, where: str) -> tuple[str, ...]:
    """The names of the baselines of a recipe with this task; left out, all that fit.

    Raises:
        InputError: baselines are named, and the task's answers are not labels, or it has no training rows.
    """
    if names in {"none", ()}:
        return ()
    kind = name_of(task.truth([]))
    reason = f"are of the kind '{kind}'" if kind != KIND else None if task.train else "are known for no training rows"
    if reason is None:
        return tuple(dict.fromkeys(REGISTRY.names() if names is None else names))
    if names is None:
        return ()
    raise InputError(
        f"simple baselines learn labels, and the answers of this task {reason}",
        where=where,
        fix="leave the key 'baselines' out",
    )
