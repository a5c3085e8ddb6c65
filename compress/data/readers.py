"""Files of rows to one shape: csv, tsv, jsonl, parquet, Orange's .tab, and Hugging Face datasets."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import InputError, did_you_mean
from compress.files import stays_home

csv.field_size_limit(2**31 - 1)

MAX_CELLS = 100_000_000
"""Rows times columns; a small file can name more: jsonl with a column of its own in each line, or packed parquet."""
MAX_RATIO = 200
"""Most bytes unpacked for one byte of a parquet file, from `SMALL_BYTES` on."""
SMALL_BYTES = 2**30


@dataclass(frozen=True)
class Table:
    """Rows of text with named columns.

    Attributes:
        name: the file or dataset, for errors.
        columns: in the file's order.
        rows: one value a column; a missing value is ''.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def column(self, name: str, where: str | None, chosen_by: str | None = None) -> list[str]:
        """All values of one column.

        Args:
            chosen_by: what names another column.

        Raises:
            InputError: there is no such column.
        """
        if name not in self.columns:
            fix = did_you_mean(name, self.columns)
            fix += f"; choose with {chosen_by}" if chosen_by else ""
            raise InputError(f"{self.name} has no column '{name}'", where=where, fix=fix)
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


def read_table(path: Path, where: str | None = None) -> Table:
    """Read a file by its ending.

    Raises:
        InputError: an unknown ending, an unreadable or an empty file; with the line where one is known.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        why = "it is a folder" if path.is_dir() else f"unknown ending '{path.suffix}'"
        raise InputError(
            f"cannot read '{path.name}': {why}",
            where=where,
            fix=f"accepted: {', '.join(sorted(_READERS))}",
        )
    if path.exists() and not (path.is_file() or path.is_dir()):  # a device or a pipe may never end
        raise InputError(f"cannot read '{path.name}': it is no plain file", where=where, fix="give the file itself")
    try:
        table = reader(path)
    except UnicodeDecodeError as error:
        raise InputError(
            f"'{path.name}' is not UTF-8 text",
            where=f"{path.name}:{_first_line_not_text(path)}",
            fix="save it as UTF-8",
        ) from error
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}", where=where, fix="check the path") from error
    if not table.rows:
        raise InputError(f"'{path.name}' holds no rows", where=where, fix="give a file with a header and rows")
    return table


def _first_line_not_text(path: Path) -> int:
    """Number of the first line that is not UTF-8: the decoder's own error counts from its last chunk."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _read_delimited(delimiter: str) -> Callable[[Path], Table]:
    def read(path: Path) -> Table:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _lines(csv.reader(file, delimiter=delimiter, strict=True), path)
            header = next(lines, None)
            if header is None:
                return Table(path.name, (), [])
            return _table(path, header[1], lines)

    return read


def _read_orange(path: Path) -> Table:
    """Orange's .tab: three header lines (names, types, flags), then tab-separated rows."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = _lines(csv.reader(file, delimiter="\t", strict=True), path)
        header = [line for _, line in zip(range(3), lines, strict=False)]
        if not header:
            return Table(path.name, (), [])
        if [number for number, _ in header] != [1, 2, 3] or not set(header[1][1]) <= _ORANGE_TYPES:
            raise InputError(
                f"'{path.name}' does not begin with Orange's three header lines (names, types, flags)",
                where=f"{path.name}:2",
                fix="rename it to .tsv if it has one header line",
            )
        return _table(path, header[0][1], lines)


_ORANGE_TYPES = {"d", "c", "s", "t", "discrete", "continuous", "string", "time", ""}


def _lines(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records with their line numbers, without the blank ones."""
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"'{path.name}' is not well-formed: {error}",
                where=f"{path.name}:{reader.line_num}",
                fix="check the quotes there",
            ) from error
        if record and record != [""]:
            yield reader.line_num, record


def _table(path: Path, columns: list[str], lines: Iterator[tuple[int, list[str]]]) -> Table:
    _check_columns(columns, path)
    rows = []
    for number, record in lines:
        if len(record) != len(columns):
            raise InputError(
                f"a row of '{path.name}' has {len(record)} columns, the header has {len(columns)}",
                where=f"{path.name}:{number}",
                fix="check the delimiters and quotes there",
            )
        rows.append(tuple(record))
    return Table(path.name, tuple(columns), rows)


def _read_jsonl(path: Path) -> Table:
    columns: dict[str, None] = {}
    records = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if "\\u" in line:
                    json.dumps(record, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise InputError(
                    f"'{path.name}' holds half of a character: a \\u escape without its second one",
                    where=f"{path.name}:{number}",
                    fix="write the text again, as UTF-8",
                ) from error
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"'{path.name}' holds a line that is not JSON",
                    where=f"{path.name}:{number}",
                    fix="one object a line",
                ) from error
            if not isinstance(record, dict):
                raise InputError(
                    f"'{path.name}' holds {type(record).__name__}, not an object",
                    where=f"{path.name}:{number}",
                    fix='one object a line: {"text": "…", "label": "…"}',
                )
            columns.update(dict.fromkeys(record))
            records.append(record)
    _check_cells(len(records), len(columns), path)
    return Table(path.name, tuple(columns), [tuple(_text(row.get(c)) for c in columns) for row in records])


def _check_cells(rows: int, columns: int, path: Path) -> None:
    if rows * columns > MAX_CELLS:
        raise InputError(
            f"'{path.name}' has {rows:,} rows of {columns:,} columns; at most {MAX_CELLS:,} values are read",
            where=path.name,
            fix="keep the columns of the text and the label",
        )


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    left = max(SMALL_BYTES, MAX_RATIO * path.stat().st_size)
    rows: list[tuple[str, ...]] = []
    with path.open("rb") as opened:
        try:
            file = pq.ParquetFile(opened)
            columns = tuple(file.schema_arrow.names)
            _check_cells(file.metadata.num_rows, len(columns), path)
            for batch in file.iter_batches(batch_size=4096):
                left -= batch.nbytes
                if left < 0:
                    raise InputError(
                        f"'{path.name}' unpacks to more than {MAX_RATIO} times its size",
                        where=str(path),
                        fix="write it again with the columns of the text and the label",
                    )
                values = [column.to_pylist() for column in batch.columns]
                rows += (tuple(map(_text, row)) for row in zip(*values, strict=True))
        except (pa.ArrowException, OSError) as error:  # Arrow raises OSError for what it cannot decode
            raise InputError(f"'{path.name}' is not a parquet file", where=str(path), fix="write it again") from error
        except (ValueError, ArithmeticError) as error:
            raise InputError(
                f"'{path.name}' holds a value that is no UTF-8 text, or no date that a calendar has",
                where=str(path),
                fix="write it again with the columns of the text and the label",
            ) from error
    _check_columns(columns, path)
    return Table(path.name, columns, rows)


def _check_columns(columns: Sequence[str], path: Path) -> None:
    if len(set(columns)) != len(columns):
        raise InputError(f"'{path.name}' has two columns of the same name", where=f"{path.name}:1", fix="rename one")


def read_hub_dataset(folder: Path, config: str | None, split: str | None, source: str, where: str | None) -> Table:
    """One split of a Hugging Face dataset that stands in `folder`; class numbers become their names.

    Raises:
        InputError: no such configuration or split, not a dataset without code of its own, or one whose description
            names files outside of its folder.
    """
    import datasets

    try:
        described = datasets.load_dataset_builder(str(folder), name=config).config.data_files or {}
        for file in (Path(str(name)) for names in described.values() for name in names):
            if not stays_home(file, folder):
                raise InputError(
                    f"the dataset '{source}' names '{file}', outside of its folder",
                    where=where,
                    fix="do not use this dataset",
                )
        loaded = datasets.load_dataset(str(folder), name=config)
    except InputError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot read the dataset '{source}': {first[:200]}",
            where=where,
            fix="check ?config= in the source",
        ) from error
    names = list(loaded)
    if split is None or split not in names:
        raise InputError(
            f"the dataset '{source}' has the splits {', '.join(map(str, names))}",
            where=where,
            fix=f"name one: {source.partition('?')[0]}?split={names[0]}",
        )
    data = loaded[split]
    columns = tuple(data.column_names)
    values = []
    for name in columns:
        feature = data.features[name]
        column = list(data[name])
        if isinstance(feature, datasets.ClassLabel):
            column = [feature.int2str(value) if value is not None and value >= 0 else "" for value in column]
        values.append(map(_text, column))
    return Table(f"{source.partition('?')[0]}?split={split}", columns, list(zip(*values, strict=True)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_delimited(","),
    ".tsv": _read_delimited("\t"),
    ".tab": _read_orange,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
