"""What a plan must account for, read from the mutant without any of compress's own reading."""

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from benchmarks.faults.mutant_data import DELIMITERS
from benchmarks.faults.mutant_recipes import Mutant
from benchmarks.faults.small_run import ROOT

_COUNTS = re.compile(
    r"^\S+: ([\d,]+) training, ([\d,]+) validation and ([\d,]+) test rows, ([\d,]+) labels", re.MULTILINE
)
ROLES = ("model", "teacher", "student")
"""Keys of a step that are no settings: they name an earlier step, or a folder."""


def why_not_that_recipe(mutant: Mutant, planned: Mapping[str, Any], folder: Path) -> str | None:
    """What of a recipe the plan does not account for; None if all of it is there.

    Args:
        planned: what `compress plan --json` says.
        folder: of the recipe.
    """
    try:
        text = mutant.content.decode("utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        return f"a plan of what is no YAML: {error}"
    if not isinstance(data, dict):
        return "a plan of what is no mapping"
    problems = (
        *(f"the key {key!r} stands twice" for key in _repeated(node)),
        *(f"against the schema: {problem}" for problem in _against_schema(data)),
    )
    return next(iter(problems), None) or _unaccounted(data, planned, folder)


def _repeated(node: Any) -> Iterator[str]:
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, yaml.MappingNode):
            keys = [key.value for key, _ in current.value if isinstance(key.value, str)]
            yield from sorted({key for key in keys if keys.count(key) > 1})
            waiting += [value for _, value in current.value]
        elif isinstance(current, yaml.SequenceNode):
            waiting += current.value


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((ROOT / "recipes" / "schema.json").read_text(encoding="utf-8"))
    schema["properties"]["steps"].pop("items")  # each step is held against its own stage's
    return schema


def _against_schema(data: dict[str, Any]) -> Iterator[str]:
    yield from _problems(_schema(), data)
    for step in data.get("steps") or []:
        name = f"step.{step.get('stage')}" if isinstance(step, dict) else ""
        if name not in _schema()["$defs"]:
            yield f"no stage of that name: {step!r:.80}"
            continue
        yield from _problems({"$defs": _schema()["$defs"], "$ref": f"#/$defs/{name}"}, step)


def _problems(schema: dict[str, Any], data: Any) -> Iterator[str]:
    for error in Draft202012Validator(schema).iter_errors(data):
        if not _number_as_text(error):
            yield f"{error.json_path}: {error.message:.120}"


def _number_as_text(error: ValidationError) -> bool:
    """True if all that is wrong, or all in one branch of a choice, is that a number is written as text."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    if branches:
        return any(all(map(_number_as_text, branch)) for branch in branches.values())
    return error.validator == "type" and _is_number(error.instance)


def _is_number(value: Any) -> bool:
    """True for a number, also one written as text, as YAML 1.1 reads 1e-3."""
    try:
        return isinstance(value, str | float) and math.isfinite(float(value))
    except ValueError:
        return False


def _unaccounted(data: dict[str, Any], planned: Mapping[str, Any], folder: Path) -> str | None:
    steps = [step for step in planned["steps"] if not step["only_measured"]]
    if planned["recipe"] != data["name"]:
        return f"the recipe is called {planned['recipe']!r}"
    told = [(step["step"], step["stage"]) for step in steps]
    if not told or told != [(step["name"], step["stage"]) for step in data["steps"]]:
        return f"the planned steps are {told}"
    names = [name for name, _ in told]
    for number, (step, raw) in enumerate(zip(steps, data["steps"], strict=True)):
        for key, value in raw.items():
            if key in {"name", "stage"}:
                continue
            if key in ROLES:
                if value is not None and value not in names[:number] and not (folder / str(value)).is_dir():
                    return f"{step['step']}.{key} is {value!r}, which is nothing"
            elif not _same(value, step["config"].get(key, "nothing")):
                return f"{step['step']}.{key} is {value!r}, planned is {step['config'].get(key)!r}"
    for part in ("train", "validation", "test"):
        source = data["task"].get(part)
        if source is not None and not (folder / source).is_file():
            return f"task.{part} is {source!r}, which is nothing"
    roles = set(data["task"].get("columns") or {}) - {"text", "text_pair", "label"}
    return f"task.columns has {roles}" if roles else None


def _same(written: Any, planned: Any) -> bool:
    """True if the plan holds what was written; where that is a mapping, at least that."""
    if isinstance(written, dict):
        return isinstance(planned, dict) and all(_same(value, planned.get(key)) for key, value in written.items())
    if isinstance(written, list):
        return isinstance(planned, list) and len(written) == len(planned) and all(map(_same, written, planned))
    if isinstance(written, str) and isinstance(planned, int | float) and not isinstance(planned, bool):
        return _is_number(written) and float(written) == planned
    return bool(written == planned) and isinstance(written, bool) == isinstance(planned, bool)


def why_not_those_rows(mutant: Mutant, output: str, others: Mapping[str, int]) -> str | None:
    """What of a data file the plan does not account for; None if its rows and labels are those of the file.

    Args:
        output: of `compress plan`.
        others: rows of each part of the task.
    """
    counts = _COUNTS.search(output)
    if counts is None:
        return "no counts of rows"
    training, validation, test, labels = (int(told.replace(",", "")) for told in counts.groups())
    try:
        rows = read_rows(mutant)
    except (ValueError, KeyError, csv.Error, RecursionError) as error:
        return f"a plan of what cannot be read: {error!r:.200}"
    if any(not _seen(text) or not _seen(label) for text, label in rows):
        return "a row without a text or a label"
    expected = {**others, mutant.part: len(rows)}
    found = {"train": training, "validation": validation, "test": test}
    if mutant.part == "train":
        if labels != (distinct := len({_seen(label) for _, label in rows})):
            return f"{labels} labels, the file has {distinct}"
    elif any(_seen(label) not in {"bad", "good"} for _, label in rows):
        return "a label that the training rows do not have"
    return None if found == expected else f"the rows are {found}, expected {expected}"


def read_rows(mutant: Mutant) -> list[tuple[str, str]]:
    """(text, label) of each row.

    Raises:
        ValueError: there are none that can be read with certainty.
    """
    ending = mutant.ending.lower()
    if ending == ".parquet":
        return _read_parquet(mutant.content)
    marks = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encoding = next((name for mark, name in marks.items() if mutant.content.startswith(mark)), "utf-8-sig")
    text = mutant.content.decode(encoding)
    if "\0" in text:
        raise ValueError("a NUL")
    if ending in {".json", ".jsonl"}:
        return _read_json(text, ending)
    if ending not in DELIMITERS:
        raise ValueError(f"the ending {ending}")
    csv.field_size_limit(2**31 - 1)
    signs = DELIMITERS[ending] if ending == ".tab" else DELIMITERS[ending] + ",;\t|"
    for sign in signs:
        records = [record for record in csv.reader(io.StringIO(text, newline=""), delimiter=sign) if any(record)]
        header = [_seen(name) for name in records[0]] if records else []
        if header.count("text") == 1 == header.count("label"):
            return _rows_of(text, ending, sign, header)
    raise ValueError("no header with one text and one label")


def _rows_of(text: str, ending: str, sign: str, header: list[str]) -> list[tuple[str, str]]:
    read = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
    records = [record for record in read if len(record) > 1 or _seen("".join(record))]
    rows = records[3 if ending == ".tab" else 1 :]
    if any(len(row) != len(header) for row in rows):
        raise ValueError("rows that are not as wide as the header")
    return [(row[header.index("text")], row[header.index("label")]) for row in rows]


def _read_json(text: str, ending: str) -> list[tuple[str, str]]:
    if ending == ".json" and text.lstrip().startswith("["):
        read = json.loads(text, object_pairs_hook=_object)
    else:
        lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
        read = [json.loads(line, object_pairs_hook=_object) for line in lines]
    text_name, label_name = (_written(name, [key for row in read for key in row]) for name in ("text", "label"))
    if any(isinstance(row[name], list | dict) for row in read for name in (text_name, label_name)):
        raise ValueError("a text or a label that is none")
    return [(_text(row[text_name]), _text(row[label_name])) for row in read]


def _written(name: str, columns: Iterable[str]) -> str:
    """A column's name as the file has it: white space around it does not count, unless another has none."""
    alike = {column for column in columns if _seen(column) == name}
    return alike.pop() if name not in alike and len(alike) == 1 else name


def _seen(text: str) -> str:
    """The text without white space and characters without a picture at its ends."""
    begin, end = 0, len(text)
    while begin < end and unicodedata.category(text[begin])[0] in "CZ":
        begin += 1
    while begin < end and unicodedata.category(text[end - 1])[0] in "CZ":
        end -= 1
    return text[begin:end]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _read_parquet(content: bytes) -> list[tuple[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(io.BytesIO(content)).read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    names = [_written(name, table.column_names) for name in ("text", "label")]
    texts, labels = (table.column(name).to_pylist() for name in names)
    return [(_text(text), _text(label)) for text, label in zip(texts, labels, strict=True)]
