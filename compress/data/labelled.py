"""The parts of a task as rows of texts and labels, read from tables and checked for what is missing."""

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from compress.data.readers import Table
from compress.errors import InputError
from compress.recipe import TaskSpec
from compress.validation import Origin

Row = TypeVar("Row")

Texts: TypeAlias = tuple[str, str | None]
"""A row's text, and its second text where the task has pairs."""


class PartReader:
    """Reads the parts of a task, and counts the rows that lack a text or a label.

    Attributes:
        incomplete: rows that were left out.
    """

    def __init__(self, spec: TaskSpec, read: Callable[[str, str | None], Table], origin: Origin) -> None:
        self.spec, self.read, self.origin = spec, read, origin
        self.incomplete = 0

    def labelled(self, part: str) -> list[tuple[Texts, str]]:
        """(texts, label) of the rows of train, validation or test; none where the recipe names no such part."""
        table = self._table(part)
        if table is None:
            return []
        labels = [label.strip() for label in self._column(table, "label")]
        rows = list(zip(self._texts(table), labels, strict=True))
        return self._complete(rows, [bool(texts[0].strip() and label) for texts, label in rows], table, part)

    def unlabelled(self) -> list[Texts]:
        """Texts of the rows without labels."""
        table = self._table("unlabelled")
        if table is None:
            return []
        for role in ("text", *(("text_pair",) if "text_pair" in self.spec.columns else ())):
            name = self.spec.columns.get(role, role)
            if name not in table.columns:
                raise InputError(
                    f"{table.name} has no column '{name}', where the texts of train stand",
                    where=self.origin.where("task", "unlabelled"),
                    fix=f"rename one of its columns to '{name}': {', '.join(table.columns)}",
                )
        rows = self._texts(table)
        return self._complete(rows, [bool(texts[0].strip()) for texts in rows], table, "unlabelled")

    def _table(self, part: str) -> Table | None:
        source = getattr(self.spec, part)
        return None if source is None else self.read(source, self.origin.where("task", part))

    def _texts(self, table: Table) -> list[Texts]:
        pairs: Sequence[str | None] = [None] * len(table.rows)
        if "text_pair" in self.spec.columns:
            pairs = self._column(table, "text_pair")
        return list(zip(self._column(table, "text"), pairs, strict=True))

    def _complete(self, rows: list[Row], are_complete: list[bool], table: Table, part: str) -> list[Row]:
        """The rows that lack nothing.

        Raises:
            InputError: some do, and the recipe does not say to drop them; or all do.
        """
        complete = [row for row, is_complete in zip(rows, are_complete, strict=True) if is_complete]
        missing = len(rows) - len(complete)
        self.incomplete += missing
        what = "text" if part == "unlabelled" else "text or a label"
        where = self.origin.where("task", part)
        if missing and self.spec.incomplete == "refuse":
            raise InputError(
                f"{missing} of {len(rows):,} rows of {table.name} lack a {what}",
                where=where,
                fix="mend the file, or set task.incomplete: drop (on the command line --incomplete drop)",
            )
        if not complete:
            both = "a text" if part == "unlabelled" else "both a text and a label"
            raise InputError(f"no row of {table.name} has {both}", where=where, fix="check task.columns")
        return complete

    def _column(self, table: Table, role: str) -> list[str]:
        option = f"--{role.replace('_', '-')}-column"
        return table.column(
            self.spec.columns.get(role, role),
            self.origin.where("task", "columns", role),
            f"task.columns (on the command line {option})",
        )
