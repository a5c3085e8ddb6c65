"""The process that reads a workbook: a sheet of a few bytes may claim billions of cells, so it needs a memory limit.

`python -P -m compress.data.workbook_process` reads {"path": …, "sheet": … or null} from standard input, and answers
{"sheets": [[name, is hidden, rows, columns, first cells], …]}. To {"sheet": name} it answers with {"rows": [[number,
cells], …]} as often as needed, and at last with {"merged": areas that span rows}. An error is {"refused": reason}.
"""

import json
import sys
from collections.abc import Iterable
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any

from compress.processes.child import Answer, from_parent

_ROWS_AT_ONCE = 500
_FIRST_CELLS = 8
_EXACT = 2**53
"""The largest whole number of a sheet that is exact: its numbers are floats."""


def cell_text(value: Any) -> str:
    """A cell's text: whole numbers without a dot, others with up to 15 digits, dates as in ISO 8601."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if abs(value) < _EXACT and value == int(value) else f"{value:.15g}"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def main() -> None:
    """Answer the requests on standard input."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum

    job, answer = from_parent()
    try:
        with Path(job["path"]).open("rb") as file:
            try:
                book = CalamineWorkbook.from_filelike(file)  # by content, whatever the name is
            except CalamineError:
                book = CalamineWorkbook.from_path(
                    job["path"]
                )  # its error says more, for example that there is a password
            sheets, listed = {}, []
            for properties in book.sheets_metadata:
                if properties.typ != SheetTypeEnum.WorkSheet or job["sheet"] not in {None, properties.name}:
                    listed.append([properties.name, True, 0, 0, []])
                    continue
                sheet = sheets[properties.name] = book.get_sheet_by_name(properties.name)
                is_hidden = not str(properties.visible).endswith(".Visible")
                listed.append([properties.name, is_hidden, sheet.height, sheet.width, _first_cells(sheet.iter_rows())])
        answer({"sheets": listed})
        for line in sys.stdin:
            _tell_rows(sheets[json.loads(line)["sheet"]], answer)
    except CalamineError as error:
        answer({"refused": str(error) or type(error).__name__})


def _first_cells(rows: Iterable[list[Any]]) -> list[str]:
    """The first cells of the first row that is not blank."""
    cells: Iterable[Any] = next((row for row in rows if any(cell != "" for cell in row)), [])
    return [cell_text(cell)[:80] for cell in islice(cells, _FIRST_CELLS)]


def _tell_rows(sheet: Any, answer: Answer) -> None:
    rows: list[tuple[int, list[str]]] = []
    for number, row in enumerate(sheet.iter_rows(), start=1):
        cells = list(map(cell_text, row))
        if any(cells):
            rows.append((number, cells))
        if len(rows) == _ROWS_AT_ONCE:
            answer({"rows": rows})
            rows.clear()
    answer({"rows": rows})
    areas = sheet.merged_cell_ranges or []
    answer({"merged": sum(begin[0] < end[0] for begin, end in areas)})


if __name__ == "__main__":
    main()
