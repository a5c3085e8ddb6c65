"""Tasks: what a model learns, and how it is scored. One file = one task; its name is the recipe's `task.type`."""

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
"""The label of a row or a token whose answer is not known; PyTorch's cross-entropy ignores it."""


class Task(Protocol):
    """A task with its rows, which are read and checked.

    Attributes:
        spec: the task's settings in the recipe.
        labels: names of the classes in a stable order; a row's label is an index into it.
        hub_task: the task's name on the Hugging Face hub, which says what class loads a model for it.
        outputs: whether a model gives (classes,) for each row, or for each token of a row.
        train, validation, test: rows; test rows never reach a stage that changes the model.
        overlap: number of test rows whose texts also stand in train.
        notes: sentences on the data for readers of the report.
        unlabelled: rows whose answer is not known; a student learns a teacher's outputs for them.
        train_key: fingerprint of all data that a stage can see.
        transfer_key: fingerprint of all data that a stage under a teacher can see: the unlabelled rows too.
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
        """The model inputs of each row without padding, cut to `max_length` (None: the task's), with `labels`.

        `labels` is a number, `UNKNOWN` if the answer is not known; or a list of a number for each token. With a list
        comes another, `counted`: 1 at the tokens that have an output, whether the answer is known or not.
        """
        ...

    def collate(self, rows: Sequence[Mapping[str, Any]], tokenizer: "Tokenizer") -> "dict[str, np.ndarray[Any, Any]]":
        """A batch of rows that `encode` gave: the inputs, (batch, tokens), with the tokenizer's padding, and `labels`.

        `labels` is (batch,); or (batch, tokens), `UNKNOWN` at padding, with `counted` (batch, tokens), 0 at padding.
        Tokens that are not counted are in no loss and no score.
        """
        ...

    def texts(self, rows: Sequence[Any]) -> tuple[list[str], list[str] | None]:
        """The rows' texts, and their second texts where the task has pairs."""
        ...

    def without_answers(self, texts: Sequence[str], pairs: Sequence[str] | None) -> list[Any]:
        """Rows of these texts, with unknown answers; texts and second texts are as `texts` gives them."""
        ...

    def answers(self, outputs: "Sequence[np.ndarray[Any, Any]]", rows: Sequence[Any]) -> Answers:
        """The answers of a model for rows.

        Args:
            outputs: for each row (classes,); or (tokens that count, classes) if each token has an output.
            rows: the same rows as the task has them.

        Raises:
            InputError: the outputs are not of this task's classes.
        """
        ...

    def truth(self, rows: Sequence[Any]) -> Answers:
        """The right answers of rows, of the same kind as `answers` gives."""
        ...

    def check_labels(self, id2label: Mapping[int, str], source: str, where: str | None) -> None:
        """Refuse a model whose classes are not the data's."""
        ...


def with_rows(task: Task, **parts: Sequence[Any]) -> Task:
    """The same task with other rows in some of its parts: `with_rows(task, test=rows)`."""
    changed: Task = replace(task, **parts)  # type: ignore[type-var]  # every task is a dataclass
    return changed


REGISTRY = Registry("task type", __name__, "load", needs=("ANSWERS",))
"""All tasks. A task's file has `load`, and `ANSWERS`, the name of the kind of its answers."""


def names() -> list[str]:
    """The names of all tasks: the files of this folder, and those of plug-ins."""
    return REGISTRY.names()


def load_task(
    spec: TaskSpec,
    read_table: ReadTable,
    seed: int,
    origin: Origin,
    labels: Sequence[str] | None = None,
) -> Task:
    """A task, with its data read and checked.

    Args:
        read_table: a function that gives the rows of a source.
        labels: the classes in a model's order. None: the labels of the training rows, sorted.

    Raises:
        InputError: an unknown task or metric, a missing column, an unknown label, test rows in train, an empty file.
    """
    load = REGISTRY.find(spec.type, origin.where("task", "type"))
    metric_names = metrics(spec.type)
    if spec.metric and spec.metric not in metric_names:
        raise InputError(
            f"'task.metric' is '{spec.metric:.80}': {spec.type} is scored by {' or '.join(metric_names)}",
            where=origin.where("task", "metric"),
            fix=did_you_mean(spec.metric, list(metric_names)),
        )
    task: Task = load(
        spec.model_copy(update={"metric": spec.metric or metric_names[0]}), read_table, seed, origin, labels
    )
    return task


def metrics(name: str) -> list[str]:
    """The names of the metrics of a task; the first is the default."""
    kind: str = REGISTRY.module(name).ANSWERS
    return list(answers.find(kind).METRICS)
