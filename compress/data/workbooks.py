"""The reader of workbooks of Excel and LibreOffice: one sheet, with cells as a person sees them."""

import sys
import zipfile
from pathlib import Path
from typing import Any

from compress.data.cells import trimmed
from compress.data.tables import MAX_RATIO, Table, check_cells, check_title
from compress.errors import InputError, did_you_mean
from compress.processes.child import Child, ChildError
from compress.processes.memory import free_memory
from compress.recipe.reading import OptionNeededError, option_text

COMMAND = (sys.executable, "-P", "-m", "compress.data.workbook_process")
SECONDS = 300.0
"""Most seconds to read a sheet; a million rows take about ten."""
SMALL_BYTES = 2**30
"""Memory that any workbook may take; beyond it, at most `MAX_RATIO` times the file's own size."""
_MEMORY_SHARE = 0.8
_MOST_SHEETS = 8
_TEXT_CSV = "save the sheet as CSV (UTF-8)"


def read_workbook(path: Path, sheet: str | None) -> Table:
    """The table of a sheet; its first row that is not blank is the header.

    Args:
        sheet: the sheet's name; None for the only one that holds a table.

    Raises:
        InputError: the file is not a workbook, has no such sheet, or has several sheets with tables.
    """
    size = path.stat().st_size
    most = max(SMALL_BYTES, MAX_RATIO * size)
    _check_unpacked(path, most)
    with Child(COMMAND, memory_bytes=min(most, int(_MEMORY_SHARE * free_memory()))) as child:
        try:
            answer = child.ask({"path": str(path), "sheet": sheet}, SECONDS)
            if "refused" in answer:
                raise _refused(path, answer["refused"])
            name, rows, columns = _choose(answer["sheets"], sheet, path.name)
            check_cells(rows, columns, path.name)
            return _read(child, name, path.name)
        except ChildError as error:
            raise InputError(
                f"'{path.name}' was read in a process of its own, which did not bear it ({error.what})",
                where=path.name,
                fix=f"{_TEXT_CSV}, or keep the columns of the text and the label",
            ) from error


def _check_unpacked(path: Path, most: int) -> None:
    """Refuse a packed workbook whose declared unpacked size is unreasonable."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _refused(path, str(error)) from error
    if unpacked > most:
        raise InputError(
            f"'{path.name}' unpacks to more than {MAX_RATIO} times its size",
            where=path.name,
            fix="keep the columns of the text and the label",
        )


def _refused(path: Path, why: str) -> InputError:
    if "assword" in why:
        return InputError(f"'{path.name}' is protected by a password", where=path.name, fix="save it without one")
    fix = f"open it, and {_TEXT_CSV}; rename it if it is a text: .csv, .tsv"
    return InputError(f"'{path.name}' is not a whole workbook ({why[:200]})", where=path.name, fix=fix)


def _choose(sheets: list[Any], sheet_name: str | None, name: str) -> tuple[str, int, int]:
    """(name, rows, columns) of the sheet to read."""
    names = [sheet[0] for sheet in sheets]
    if sheet_name is not None:
        if sheet_name not in names:
            raise InputError(f"'{name}' has no sheet '{sheet_name}'", where=name, fix=did_you_mean(sheet_name, names))
        return next((title, rows, columns) for title, _, rows, columns, _ in sheets if title == sheet_name)
    filled = [sheet for sheet in sheets if sheet[2] > 1]
    tables = [sheet for sheet in filled if sheet[3] > 1] or filled
    tables = [sheet for sheet in tables if not sheet[1]] or tables
    if len(tables) > 1:
        choices = {
            title: f"{rows:,} lines of {', '.join(map(trimmed, first))}"[:80]
            for title, _, rows, _, first in tables[:_MOST_SHEETS]
        }
        proposals = "; ".join(f"'{title}' ({excerpt})" for title, excerpt in choices.items())
        first = next(iter(choices))
        raise OptionNeededError(
            f"'{name}' has {len(tables)} sheets with rows: {proposals}",
            option="sheet",
            choices=choices,
            where=name,
            fix=f"say which: {option_text('sheet', first)}; or name the file as '{name}?sheet={first}'",
        )
    title, _, rows, columns, _ = tables[0] if tables else sheets[0]
    return title, rows, columns


def _read(child: Child, sheet: str, name: str) -> Table:
    rows: list[tuple[str, ...]] = []
    numbers: list[int] = []
    answer = child.ask({"sheet": sheet}, SECONDS)
    while "rows" in answer:
        for number, cells in answer["rows"]:
            numbers.append(number)
            rows.append(tuple(cells))
        answer = child.answer(SECONDS)
    if not rows:
        return Table(name, (), [])
    header, *rows = rows
    check_title(header, list(zip(numbers[1:], rows, strict=True)), name)
    filled = [place for place, cells in enumerate(zip(header, *rows, strict=True)) if any(map(trimmed, cells))]
    if len(filled) < len(header):
        header, *rows = [tuple(row[place] for place in filled) for row in (header, *rows)]
    notes = []
    if answer["merged"]:
        notes.append(
            f"{name} has merged cells that span rows ({answer['merged']:,}): their value is in the first row alone"
        )
    return Table(name, header, rows, notes=tuple(notes), headed=True)
