"""What a stage may know of its surroundings: while it runs, and before, when its step is planned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from compress.models.architectures import Shape
from compress.store.artifacts import Artifact
from compress.tasks import Task


class Progress(Protocol):
    """A callback that takes how far a piece of work is."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Report that `done` of `total` units of `what` are done; the work ends with done == total."""
        ...


class Cached(Protocol):
    """A function that makes a by-product once and keeps it in the store, for all steps that need it."""

    def __call__(
        self,
        name: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        make: Callable[[Path], Mapping[str, Any] | None],
    ) -> Artifact:
        """The by-product `name` for these settings and input keys; `make(out)` writes it if the store lacks it."""
        ...


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal: a run on few rows, which shows what a whole run would cost and where it would fail.

    Attributes:
        train_rows, validation_rows, unlabelled_rows: rows of the run that is rehearsed.
        steps: the largest number of optimizer steps of each training.
    """

    train_rows: int
    validation_rows: int
    unlabelled_rows: int
    steps: int


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Context:
    """The surroundings that a stage runs in.

    Attributes:
        task: the data and its score; never show the test rows to a model that still changes.
        seed: the seed of every random choice.
        device: `cpu` or `cuda`, where training runs.
        trust_remote_code: whether a model's folder may bring code along.
        work: a folder for checkpoints; survives a crash, is not part of the result.
        progress: called with how far the work is. Raises `Stopped` if the user has asked to stop: work that can be
            resumed checks `stopping` first, saves its checkpoint, and only then reports progress.
        cached: makes and keeps by-products that several steps share.
        stopping: whether the user has asked to stop.
        rehearsal: the limits of a rehearsal; None in a real run.
        host: facts of this machine, recorded with what is timed on it.
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
        """The number of training rows of the real run, also during its rehearsal."""
        return self.rehearsal.train_rows if self.rehearsal else len(self.task.train)

    @property
    def validation_rows(self) -> int:
        """The number of validation rows of the real run, also during its rehearsal."""
        return self.rehearsal.validation_rows if self.rehearsal else len(self.task.validation)

    @property
    def unlabelled_rows(self) -> int:
        """The number of unlabelled rows of the real run, also during its rehearsal."""
        return self.rehearsal.unlabelled_rows if self.rehearsal else len(self.task.unlabelled)


@dataclass(frozen=True)
class KnownModel:
    """A model as it is known before any work.

    Attributes:
        origin: folder of the model from outside that it comes from.
        step: the step that will make it; None for the model from outside itself.
        shape: its sizes; None where they are not known.
        tokenizer: the step that will make its tokenizer, or the folder from outside that has it.
    """

    origin: Path
    step: str | None
    shape: Shape | None
    tokenizer: str | Path

    def gives_ids_of(self, other: "KnownModel") -> bool:
        """Whether both tokenizers give the same ids; tokenizers that two steps will make count as different."""
        own, theirs = self.tokenizer, other.tokenizer
        if own == theirs or isinstance(own, str) or isinstance(theirs, str):
            return own == theirs
        from compress.models.tokenizer import load_tokenizer

        return load_tokenizer(own).gives_ids_of(load_tokenizer(theirs))


@dataclass(frozen=True)
class KnownStep:
    """A step as a stage's check may know it, before any work.

    Attributes:
        config: its settings.
        inputs: the models of each role that the recipe fills; most roles have one.
        model: the model that the step's own is made from.
        shape: sizes of the model that it will make; None where they are not known.
        longest: the number of tokens of the longest text that the model will be given.
        task: the data.
    """

    config: Any
    inputs: Mapping[str, tuple[KnownModel, ...]]
    model: KnownModel
    shape: Shape | None
    longest: int
    task: Task
