"""The parts of a task as rows of texts and labels, read from tables and checked for what is missing."""

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from compress.data.cells import trimmed
from compress.data.tables import ReadTable, Table, listed
from compress.errors import InputError
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin

Row = TypeVar("Row")

Texts: TypeAlias = tuple[str, str | None]
"""A row's text, and its second text if the task has pairs."""


class PartReader:
    """The reader of a task's parts; it counts the rows that lack a text or a label.

    Attributes:
        incomplete: number of rows that were left out.
        notes: remarks on the tables for the report.
    """

    def __init__(self, spec: TaskSpec, read_table: ReadTable, origin: Origin) -> None:
        self.spec, self.read_table, self.origin = spec, read_table, origin
        self.incomplete = 0
        self.notes: list[str] = []

    def labelled(self, part: str) -> list[tuple[Texts, str]]:
        """(texts, label) of the rows of train, validation or test; no rows if the recipe has no such part."""
        table = self._table(part)
        if table is None:
            return []
        cells = self._column(table, "label")
        labels = self._with_blanks(list(map(trimmed, cells)), table)
        rows = list(zip(self._texts(table), labels, strict=True))
        complete = self._complete(rows, [bool(trimmed(texts[0]) and label) for texts, label in rows], table, part)
        loose = {label for label, cell in zip(labels, cells, strict=True) if label != cell} & set(cells)
        if loose := loose - {""}:
            names = listed([f"'{label}'" for label in sorted(loose)])
            self.notes.append(f"labels of {table.name} with white space around them are those without it: {names}")
        return complete

    def _with_blanks(self, labels: list[str], table: Table) -> list[str]:
        """The labels, with '' for those that the recipe declares as no label."""
        none = {trimmed(value) for value in self.spec.no_label}
        counts = Counter(label for label in labels if label in none)
        if values_and_rows := [f"'{value}' ({count:,} rows)" for value, count in counts.items() if value]:
            self.notes.append(f"taken for no label in {table.name}: {listed(values_and_rows)}")
        return ["" if label in none else label for label in labels]

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
                    fix=f"rename one of its columns to '{name}': {listed(table.columns)}",
                )
        rows = self._texts(table)
        return self._complete(rows, [bool(trimmed(texts[0])) for texts in rows], table, "unlabelled")

    def _table(self, part: str) -> Table | None:
        source = getattr(self.spec, part)
        if source is None:
            return None
        table = self.read_table(source, self.origin.where("task", part), self.spec.reading)
        self.notes += table.notes
        return table

    def _texts(self, table: Table) -> list[Texts]:
        pairs: Sequence[str | None] = [None] * len(table.rows)
        if "text_pair" in self.spec.columns:
            pairs = seconds = self._column(table, "text_pair")
            if empty := sum(not trimmed(second) for second in seconds):
                self.notes.append(f"{empty:,} of {len(seconds):,} rows of {table.name} have an empty second text")
        return list(zip(self._column(table, "text"), pairs, strict=True))

    def _complete(self, rows: list[Row], are_complete: list[bool], table: Table, part: str) -> list[Row]:
        """The complete rows.

        Raises:
            InputError: rows lack something and the recipe does not say to drop them; or no row is complete.
        """
        complete = [row for row, is_complete in zip(rows, are_complete, strict=True) if is_complete]
        missing = len(rows) - len(complete)
        self.incomplete += missing
        what = "text" if part == "unlabelled" else "text or a label"
        where = self.origin.where("task", part)
        if not complete:
            both = "a text" if part == "unlabelled" else "both a text and a label"
            raise InputError(f"no row of {table.name} has {both}", where=where, fix="check task.columns and the file")
        if missing and self.spec.incomplete == "refuse":
            raise InputError(
                f"{missing} of {len(rows):,} rows of {table.name} lack a {what}",
                where=where,
                fix="mend the file, or set task.incomplete: drop (on the command line --incomplete drop)",
            )
        return complete

    def _column(self, table: Table, role: str) -> list[str]:
        option = f"--{role.replace('_', '-')}-column"
        chosen_by = f"task.columns (on the command line {option})"
        if self.origin.overrides:
            chosen_by = f"--set task.columns.{role}=NAME"
        return table.column(
            self.spec.columns.get(role, role),
            self.origin.where("task", "columns", role),
            chosen_by,
        )
