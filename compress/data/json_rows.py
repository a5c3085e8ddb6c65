"""Tables of JSON objects: one in each line, or all of them in one array."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from compress.data.cells import text_of
from compress.data.tables import Table, check_cells
from compress.data.texts import Encoding, numbered_lines, open_text
from compress.errors import InputError


class _KeyTwiceError(ValueError):
    """The error of a key that an object has twice."""


def read_json_lines(path: Path, encoding: Encoding) -> Table:
    """The table of a file with one object in each line; a column for each key."""
    with open_text(path, encoding) as file:
        return _table(path.name, _objects_by_line(numbered_lines(file, path, encoding), path.name))


def read_json(path: Path, encoding: Encoding) -> Table:
    """The table of a file with one array of objects, or with one object in each line."""
    with open_text(path, encoding) as file:
        lines = numbered_lines(file, path, encoding)
        begin = []
        for line in lines:
            begin.append(line)
            if line.strip():
                break
        if not begin or not begin[-1].lstrip().startswith("["):
            return _table(path.name, _objects_by_line(chain(begin, lines), path.name))
        values = _parse("".join([*begin, *lines]), path.name, "one array of objects, or one object a line")
        if not isinstance(values, list):
            raise _no_object(path.name, values, path.name)
        return _table(path.name, ((f"{path.name}, element {n}", value) for n, value in enumerate(values, start=1)))


def _objects_by_line(lines: Iterable[str], name: str) -> Iterator[tuple[str, Any]]:
    """(place, value) of each line that is not blank."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{name}:{number}"
            yield where, _parse(line, where, _fix_line(line, number))


def _fix_line(line: str, number: int) -> str:
    """The fix for a line that is not JSON."""
    if line.rstrip().endswith(","):
        return "one object a line, without a comma after it"
    if number == 1 and line.lstrip().startswith("["):
        return "one object a line; a file that is one array is named .json"
    if line.strip() == "{":
        return "one object a line: an object that spans several lines is not read"
    return "one object a line"


def _parse(text: str, where: str, fix: str) -> Any:
    name = where.partition(":")[0]
    try:
        value = json.loads(text, object_pairs_hook=_object)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"'{name}' holds half of a character: a \\u escape without its second one",
            where=where,
            fix="write the text again, as UTF-8",
        ) from error
    except _KeyTwiceError as error:
        raise InputError(f"'{name}' names '{error}' twice in one object", where=where, fix="keep one") from error
    except (ValueError, RecursionError) as error:
        kind = "a line that is not JSON" if ":" in where else "what is not JSON"
        raise InputError(f"'{name}' holds {kind}", where=where, fix=fix) from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _KeyTwiceError(next(key for key in keys if keys.count(key) > 1)[:80])
    return value


def _table(name: str, values: Iterator[tuple[str, Any]]) -> Table:
    columns: dict[str, None] = {}
    unfit: dict[str, str] = {}
    records: list[dict[str, Any]] = []
    for where, value in values:
        if not isinstance(value, dict):
            raise _no_object(name, value, where)
        columns.update(dict.fromkeys(value))
        for key, cell in value.items():
            if isinstance(cell, list | dict) and key not in unfit:
                unfit[key] = f"holds {'a list' if isinstance(cell, list) else 'an object'} ({where})"
        records.append(value)
    check_cells(len(records), len(columns), name)
    rows = [tuple(text_of(record.get(column)) for column in columns) for record in records]
    return Table(name, tuple(columns), rows, unfit)


def _no_object(name: str, value: Any, where: str) -> InputError:
    return InputError(
        f"'{name}' holds {type(value).__name__}, not an object",
        where=where,
        fix='one object a line: {"text": "…", "label": "…"}; a file that is one array of them is named .json',
    )
