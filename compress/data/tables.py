"""Tables: rows of text with named columns, the form in which every file and data set is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from compress.data.cells import trimmed
from compress.errors import InputError, nearest, proposed
from compress.recipe.reading import Reading

MAX_CELLS = 100_000_000
"""Most cells (rows times columns). A small file can have more: jsonl with new columns in each line, packed parquet."""
TITLE_LINES = 20
"""Lines below a title in which the header is searched for."""
MAX_RATIO = 200
"""Most bytes unpacked for one byte of a packed file that is not small."""


@dataclass(frozen=True)
class Table:
    """Rows of text with named columns.

    Attributes:
        name: the file or dataset, for error messages.
        columns: names of the columns, in the file's order.
        rows: one value for each column; a missing value is ''.
        unfit: column -> why it can be neither text nor label, such as `holds a list`.
        notes: remarks on the file for the report.
        headed: whether the names are the file's first line, which may be a row by mistake.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    unfit: Mapping[str, str] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    headed: bool = field(default=False, compare=False)

    def column(self, name: str, where: str | None, chosen_by: str | None = None) -> list[str]:
        """All values of one column.

        Args:
            name: the column's name, with or without the white space around it.
            chosen_by: the option that names a column, for the fix of an error.

        Raises:
            InputError: there is no such column, there are several, or the column does not hold texts.
        """
        choose = f"; choose with {chosen_by}" if chosen_by else ""
        places = [place for place, column in enumerate(self.columns) if column == name]
        places = places or [place for place, column in enumerate(self.columns) if trimmed(column) == trimmed(name)]
        if not places:
            fix = self._nearest(name) + choose
            if self.headed and nearest(name, self.columns) is None:
                fix += "; if the first line is a row already, write the columns' names above it"
            raise InputError(f"{self.name} has no column '{name}'", where=where, fix=fix)
        if len(places) > 1:
            numbers = " and ".join(str(place + 1) for place in places[:10])
            raise InputError(
                f"{self.name} has {len(places)} columns '{name}': the columns {numbers}",
                where=where,
                fix=f"rename all but one{choose}",
            )
        if (why := self.unfit.get(self.columns[places[0]])) is not None:
            raise InputError(
                f"the column '{name}' of {self.name} {why}",
                where=where,
                fix=f"one text, number or true/false a row is needed{choose}",
            )
        return [row[places[0]] for row in self.rows]

    def _nearest(self, name: str) -> str:
        close = nearest(name, self.columns)
        return proposed(close and close[:40], f"accepted: {listed(sorted(self.columns))}")


ReadTable: TypeAlias = Callable[[str, str | None, Reading], Table]
"""A function of (source, where the recipe names it, options for files) -> the source's table."""


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first 20, each cut to 40 characters."""
    shortened = ", ".join(f"{name[:40]}…" if len(name) > 40 else name for name in names[:20])
    return f"{shortened}, … ({len(names):,} in all)" if len(names) > 20 else shortened


def check_cells(rows: int, columns: int, name: str) -> None:
    """Refuse a table that is too large for memory.

    Raises:
        InputError: the table has more than `MAX_CELLS`.
    """
    if rows * columns > MAX_CELLS:
        raise InputError(
            f"'{name}' has {rows:,} rows of {columns:,} columns; at most {MAX_CELLS:,} values are read",
            where=name,
            fix="keep the columns of the text and the label",
        )


def check_title(columns: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]], name: str) -> None:
    """Refuse a title in place of the header: a first line with a single cell, above rows of several cells.

    Args:
        rows: (line number, cells) of each row.

    Raises:
        InputError: names the line where the header seems to be.
    """
    filled = [place for place, column in enumerate(columns) if trimmed(column)]
    if len(columns) < 2 or filled != [0]:
        return
    for number, cells in rows[:TITLE_LINES]:
        if sum(bool(trimmed(cell)) for cell in cells) > 1:
            raise misplaced_header(name, number, cells)


def misplaced_header(name: str, number: int, cells: Sequence[str]) -> InputError:
    """The error for a header that is not in the first line."""
    return InputError(
        f"the header of '{name}' seems to stand in line {number}: {', '.join(cells)[:80]}",
        where=f"{name}:{number}",
        fix="remove what stands above it",
    )
