"""Tables on a terminal that show fewer columns on a narrower one."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from compress.cli.screen import stacked

GAP = 2
"""The width between two columns of a table."""

Lines = tuple[str, ...]
"""The lines of one cell, the first two of which are never folded."""
Cells = Mapping[str, Lines]
"""The cells of a row by the names of their columns."""
Layout = tuple[str, ...]
"""The names of columns, the first of which names the rows."""


def laid_out(
    title: str,
    layouts: Sequence[Layout],
    rows_in: Callable[[Layout], Sequence[Cells]],
    width: int,
    *,
    least: int,
    words: Collection[str] = (),
) -> Any:
    """A table in the first layout that fits, or in the last one. Empty columns are left out.

    Args:
        rows_in: gives the rows for a layout, at least one.
        width: the width of the terminal.
        least: the least width of the first column, whose texts go on in the next line.
        words: columns, beside the first, that hold words and stand to the left.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    for layout in layouts:
        rows = rows_in(layout)
        names = [name for name in layout if any(row.get(name) for row in rows)]
        widths = {name: max(len(line) for row in rows for line in (name, *row.get(name, ())[:2])) for name in names}
        first = min(least, widths[names[0]])
        if first + sum(widths[name] for name in names[1:]) + GAP * len(names) <= width:
            break
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        limits: dict[str, Any] = {"min_width": first} if name == names[0] else {"width": widths[name]}
        is_left = name == names[0] or name in words
        table.add_column(name, justify="left" if is_left else "right", overflow="fold", **limits)
    for row in rows:
        table.add_row(*(stacked(*row.get(name, ())) for name in names))
    return table
