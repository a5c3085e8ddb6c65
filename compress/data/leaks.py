"""Test rows that are also training rows: refused, dropped from training, or counted."""

from collections.abc import Hashable, Sequence
from typing import Protocol, TypeVar

from compress.data.splits import overlap
from compress.errors import InputError
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin


class Comparable(Protocol):
    """A row of any task."""

    @property
    def content(self) -> Hashable:
        """The content by which two rows are compared."""
        ...


Row = TypeVar("Row", bound=Comparable)


def check_overlap(spec: TaskSpec, parts: dict[str, list[Row]], origin: Origin) -> int:
    """Number of test rows that other parts hold too; with `overlap: drop` those rows are taken out of `parts`.

    Raises:
        InputError: there are such rows and the recipe does not allow them; or no row would be left to train on.
    """
    test = [row.content for row in parts["test"]]
    leaked: set[int] = set()
    for names, place in ((("train", "validation"), "train"), (("unlabelled",), "the unlabelled rows")):
        equal_rows = overlap(test, [row.content for name in names for row in parts[name]])
        if equal_rows and spec.overlap == "refuse":
            raise InputError(
                f"{len(equal_rows):,} of {len(test):,} test rows also stand in {place}, "
                "so the score would flatter the model",
                where=origin.where("task", "test"),
                fix="set task.overlap: drop (leave them out there) or allow (keep them, and report it)",
            )
        leaked.update(equal_rows)
    if leaked and spec.overlap == "drop":
        forbidden, had_train = set(test), bool(parts["train"])
        for name in ("train", "validation", "unlabelled"):
            parts[name] = [row for row in parts[name] if row.content not in forbidden]
        if had_train and not parts["train"]:
            raise InputError(
                "all training rows also stand in test, so none is left to train on",
                where=origin.where("task", "test"),
                fix="give test rows of their own, or task.test_fraction instead of a test file",
            )
    return len(leaked)


def also_in_test(train: Sequence[Row], test: Sequence[Row]) -> dict[str, list[int]]:
    """Indices of test rows that are also training rows, as part of a fingerprint; empty if there are none."""
    equal_rows = overlap([row.content for row in train], [row.content for row in test])
    return {"also in test": equal_rows} if equal_rows else {}


def only_new(unlabelled: Sequence[Row], others: Sequence[Row]) -> tuple[list[Row], int]:
    """The distinct unlabelled rows that are not among `others`, and the number of rows left out."""
    contents = {row.content for row in others}
    new: dict[object, Row] = {}
    for row in unlabelled:
        if row.content not in contents:
            new.setdefault(row.content, row)
    return list(new.values()), len(unlabelled) - len(new)
