"""Test rows that a stage would see: refused, taken out of what it sees, or counted."""

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
        """What makes two rows the same."""
        ...


Row = TypeVar("Row", bound=Comparable)


def check_overlap(spec: TaskSpec, parts: dict[str, list[Row]], origin: Origin) -> int:
    """How many test rows a stage would see; with `overlap: drop`, what they equal is taken out of `parts`.

    Raises:
        InputError: some are, and the recipe says nothing about it; or none would be left to train on.
    """
    test = [row.content for row in parts["test"]]
    leaked: set[int] = set()
    for names, told in ((("train", "validation"), "train"), (("unlabelled",), "the unlabelled rows")):
        found = overlap(test, [row.content for name in names for row in parts[name]])
        if found and spec.overlap == "refuse":
            raise InputError(
                f"{len(found):,} of {len(test):,} test rows also stand in {told}, so the score would flatter the model",
                where=origin.where("task", "test"),
                fix="set task.overlap: drop (leave them out there) or allow (keep them, and report it)",
            )
        leaked.update(found)
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
    """The places of training rows that also stand in test, for a fingerprint: nothing if there are none."""
    found = overlap([row.content for row in train], [row.content for row in test])
    return {"also in test": found} if found else {}


def only_new(unlabelled: Sequence[Row], others: Sequence[Row]) -> tuple[list[Row], int]:
    """The unlabelled rows that are not among `others`, each once, and how many were left out."""
    seen = {row.content for row in others}
    new: dict[object, Row] = {}
    for row in unlabelled:
        if row.content not in seen:
            new.setdefault(row.content, row)
    return list(new.values()), len(unlabelled) - len(new)
