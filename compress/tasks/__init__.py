"""What is learned and scored. One file = one task; the file's name is the recipe's `task.type`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from compress import answers
from compress.answers import Answers
from compress.data.tables import ReadTable
from compress.errors import InputError, did_you_mean
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from compress.models.tokenizer import Tokenizer


UNKNOWN = -100
"""The label of a row, or of a token, whose answer is not known; PyTorch's cross-entropy leaves it out."""


class Task(Protocol):
    """Rows of one task, read and checked.

    Attributes:
        spec: as the recipe has it.
        labels: names of the classes in a stable order; a row's label is an index into it.
        hub_task: the task's name on the Hugging Face hub, which says what class loads a model for it.
        outputs: what a model gives: (classes,) for each row, or for each of a row's tokens.
        train, validation, test: rows; test rows never reach a stage that changes the model.
        overlap: how many test rows also stand in train.
        notes: what a reader of the report must know of the data.
        unlabelled: rows whose answer is not known; what a teacher says of them can be learned.
        train_key: fingerprint of all that a stage can see.
        transfer_key: fingerprint of all that a stage under a teacher can see: of the unlabelled rows too.
        test_key: fingerprint of the test rows.
    """

    spec: TaskSpec
    labels: tuple[str, ...]
    hub_task: str
    outputs: Literal["row", "token"]
    train: Sequence[Any]
    validation: Sequence[Any]
    test: Sequence[Any]
    unlabelled: Sequence[Any]
    overlap: int
    notes: tuple[str, ...]
    train_key: str
    transfer_key: str
    test_key: str

    def encode(
        self, rows: Sequence[Any], tokenizer: "Tokenizer", max_length: int | None = None
    ) -> list[dict[str, Any]]:
        """Model inputs of each row, cut to `max_length` (left out: the task's), not padded, with `labels`.

        Labels are a number, `UNKNOWN` where the answer is not known; or a list of one for each token. Beside a list
        stands another, `counted`: 1 at the tokens of which the model is asked, whether the answer is known or not.
        """
        ...

    def collate(self, rows: Sequence[Mapping[str, Any]], tokenizer: "Tokenizer") -> "dict[str, np.ndarray[Any, Any]]":
        """Rows as `encode` gives them to one batch: the inputs (batch, tokens), padded as the tokenizer does.

        Labels are (batch,); or (batch, tokens), `UNKNOWN` at padding, with `counted` (batch, tokens), 0 at padding:
        what is not counted stands in no loss and no score.
        """
        ...

    def texts(self, rows: Sequence[Any]) -> tuple[list[str], list[str] | None]:
        """The rows' texts, and their second texts where the task has pairs."""
        ...

    def without_answers(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Any]:
        """Rows of these texts whose answer is not known; both as `texts` gives them."""
        ...

    def answers(self, outputs: "Sequence[np.ndarray[Any, Any]]", rows: Sequence[Any]) -> Answers:
        """What a model says of rows.

        Args:
            outputs: of each row (classes,); or (tokens, classes) of its tokens that are counted, where the task's
                outputs are those of tokens.
            rows: the same rows as the task has them.

        Raises:
            InputError: the outputs are not of this task's classes.
        """
        ...

    def truth(self, rows: Sequence[Any]) -> Answers:
        """The right answer of each row, of the kind that `answers` gives."""
        ...

    def check_labels(self, id2label: Mapping[int, str], source: str, where: str | None) -> None:
        """Refuse a model whose classes are not the data's."""
        ...


def with_rows(task: Task, **parts: Sequence[Any]) -> Task:
    """The same task with other rows in some of its parts: `with_rows(task, test=rows)`."""
    changed: Task = replace(task, **parts)  # type: ignore[type-var]  # every task is a dataclass
    return changed


REGISTRY = Registry("task type", __name__, "load", needs=("ANSWERS",))
"""A task's file has `load`, and `ANSWERS`, the name of the kind of answers that it gives."""


def names() -> list[str]:
    """All tasks: the files of this folder, and those of plug-ins."""
    return REGISTRY.names()


def load_task(
    spec: TaskSpec,
    read: ReadTable,
    seed: int,
    origin: Origin,
    labels: Sequence[str] | None = None,
) -> Task:
    """Read and check a task's data.

    Args:
        read: the rows of a source.
        labels: the classes in a model's order. Left out: those of the training rows, sorted.

    Raises:
        InputError: an unknown task or metric, a missing column, an unknown label, test rows in train, an empty file.
    """
    load = REGISTRY.find(spec.type, origin.where("task", "type"))
    known = metrics(spec.type)
    if spec.metric and spec.metric not in known:
        raise InputError(
            f"'task.metric' is '{spec.metric:.80}': {spec.type} is scored by {' or '.join(known)}",
            where=origin.where("task", "metric"),
            fix=did_you_mean(spec.metric, list(known)),
        )
    task: Task = load(spec.model_copy(update={"metric": spec.metric or known[0]}), read, seed, origin, labels)
    return task


def metrics(name: str) -> list[str]:
    """What a task's answers can be scored by; the first one where a recipe does not say it."""
    kind: str = REGISTRY.module(name).ANSWERS
    return list(answers.find(kind).METRICS)
