"""All that a stage may know of the world besides its inputs and its settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from compress.store.artifacts import Artifact
from compress.tasks import Task


class Progress(Protocol):
    """Told how far a piece of work is."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """`done` of `total` units of `what`; done == total ends it."""
        ...


class Cached(Protocol):
    """Makes a by-product once and keeps it in the store, for all steps that want the same."""

    def __call__(
        self,
        name: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        make: Callable[[Path], Mapping[str, Any] | None],
    ) -> Artifact:
        """The by-product `name` of the given settings and input keys; `make(out)` writes it if it is new."""
        ...


@dataclass(frozen=True)
class Rehearsal:
    """A run on few rows, to learn what a whole one would take and where it would fail.

    Attributes:
        train_rows, validation_rows, unlabelled_rows: rows of the run that is rehearsed.
        steps: optimizer steps that each training takes, at most.
    """

    train_rows: int
    validation_rows: int
    unlabelled_rows: int
    steps: int


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Context:
    """What a stage is run with.

    Attributes:
        task: the data and its score; never hand the test rows to a model that still changes.
        seed: of every random choice.
        device: `cpu` or `cuda`, where training runs.
        trust_remote_code: whether a model's folder may bring code along.
        work: a folder for checkpoints; survives a crash, is not part of the result.
        progress: told how far the work is. Raises `Stopped` where the person has asked to stop: work that keeps
            something for going on asks `stopping` first, and reports no progress until that is kept.
        cached: keeps by-products that several steps share.
        stopping: whether the person has asked to stop.
        rehearsal: None in a run that counts.
        host: facts of this machine, for what is timed on it.
    """

    task: Task
    seed: int
    device: Literal["cpu", "cuda"]
    trust_remote_code: bool
    work: Path
    progress: Progress
    cached: Cached
    stopping: Callable[[], bool] = _never
    rehearsal: Rehearsal | None = None
    host: Mapping[str, Any] = field(default_factory=dict)

    @property
    def train_rows(self) -> int:
        """Training rows of the run, also where this one only rehearses it."""
        return self.rehearsal.train_rows if self.rehearsal else len(self.task.train)

    @property
    def validation_rows(self) -> int:
        """Validation rows of the run, also where this one only rehearses it."""
        return self.rehearsal.validation_rows if self.rehearsal else len(self.task.validation)

    @property
    def unlabelled_rows(self) -> int:
        """Unlabelled rows of the run, also where this one only rehearses it."""
        return self.rehearsal.unlabelled_rows if self.rehearsal else len(self.task.unlabelled)
