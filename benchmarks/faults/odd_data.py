"""Data files as people have them: the right rows and labels, or one error that says what the file is.

What is right is not asked of the file: the rows are made here, and the plan of the odd file must count them as they
are and have the key of the plan of the same rows in a plain file, which covers each letter of them.
"""

import csv
import gzip
import io
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks.faults.cases import Case, Check, recipe, refused, run_limited, small_run, succeeded
from benchmarks.faults.data_contents import CONTENTS, PACKINGS, bars, feather, parquet, zipped
from benchmarks.faults.small_run import RECIPE, Ended, make_rows

Rows = Sequence[tuple[str, str]]
ROWS: Rows = [('müßig, "good"; it\'s 3,5 🙂', "good"), *make_rows(47, seed=5)]
TEXTS = [text for text, _ in ROWS]
ARGUMENTS = ["plan", "odd.yaml", "--no-forecast", "--json"]


HELD_OUT: dict[str, Any] = {"test": None, "test_fraction": 0.25}
"""Of the task, where the labels are not those of the small run's test rows."""


def plain(
    rows: Sequence[Sequence[str]], header: Sequence[str] = ("text", "label"), delimiter: str = ",", end: str = "\n"
) -> str:
    """The rows as CSV in which each cell is quoted."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, delimiter=delimiter, lineterminator=end).writerows([header, *rows])
    return text.getvalue()


def lines(rows: Sequence[tuple[Any, Any]]) -> str:
    """The rows as JSON, one object a line."""
    return "".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows)


def _given(files: Mapping[str, bytes | str], **task: Any) -> Callable[[Path], list[str]]:
    """Writes the files into a folder with the small model, and a recipe that trains on the first of them."""

    def prepare(folder: Path) -> list[str]:
        _write(folder, files, **task)
        return ARGUMENTS

    return prepare


def _write(folder: Path, files: Mapping[str, bytes | str], **task: Any) -> None:
    shutil.copytree(small_run() / "model", folder / "model")
    shutil.copy(small_run() / "test.csv", folder / "test.csv")
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    changed = recipe(task={**_TASK, "train": next(iter(files)), **task})
    (folder / "odd.yaml").write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")


_TASK: dict[str, Any] = dict(RECIPE["task"])  # type: ignore[call-overload]


@cache
def _plain_key(rows: tuple[tuple[str, str], ...], test: tuple[tuple[str, str], ...], changed: str) -> str:
    """Key of the first step on these rows, in plain files."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = {"train.csv": plain(rows)} | ({"test.csv": plain(test)} if test else {})
        _write(folder, files, **json.loads(changed))
        ended = run_limited(ARGUMENTS, folder, {"COMPRESS_CACHE": str(folder / "cache")})
        return str(json.loads(ended.stdout)["steps"][0]["key"])


def _planned(rows: Rows, test: Rows = (), notes: Sequence[str] = (), task: Mapping[str, Any] | None = None) -> Check:
    """The check that the plan has these rows, to the letter.

    Args:
        test: left out, the rows of the small run are not looked at.
        notes: what the plan must tell.
        task: what is changed of it, in the plain recipe too.
    """
    changed = task or {}

    def check(folder: Path, ended: Ended) -> str | None:
        del folder
        planned = json.loads(ended.stdout)
        data = planned["data"]
        parts = ("train", "validation", "test") if "test_fraction" in changed else ("train", "validation")
        trained = sum((Counter(data[part]["labels"]) for part in parts), Counter())
        if trained != Counter(label for _, label in rows):
            return f"the labels are {trained}"
        if test and Counter(data["test"]["labels"]) != Counter(label for _, label in test):
            return f"the test labels are {data['test']['labels']}"
        if missing := [note for note in notes if note not in " ".join(data["notes"])]:
            return f"it does not tell {missing}, but {data['notes']}"
        key = _plain_key(tuple(rows), tuple(test), json.dumps(changed))
        return None if planned["steps"][0]["key"] == key else "its key is not that of the same rows in a plain file"

    return succeeded(check)


def _right(name: str, file: str, content: bytes | str, rows: Rows = ROWS, **more: Any) -> Case:
    """A file in place of train.csv that holds `rows`."""
    task = more.pop("task", {})
    alike = {key: task[key] for key in ("test", "test_fraction") if key in task}
    return Case(name, "data", _given({file: content}, **task), _planned(rows, task=alike, **more))


def _refused(name: str, file: str, content: bytes | str, *words: str, **task: Any) -> Case:
    return Case(name, "data", _given({file: content}, **task), refused(*words, code=2))


def _tested(name: str, train: bytes | str, file: str, test: bytes | str, rows: Rows, tests: Rows, *notes: str) -> Case:
    """Labels that stand in another form in the test file."""
    prepare = _given({"train.csv": train, file: test}, test=file)
    return Case(name, "data", prepare, _planned(rows, tests, notes))


def _labelled(*labels: Any, times: int = 8) -> list[tuple[str, Any]]:
    """Rows of these labels, each `times` times, with a text of its own each."""
    return [(f"a {number} film", label) for number, label in enumerate(labels * times)]


PLAIN = plain(ROWS)
TWO = plain(_labelled("0", "1"))
ZERO_ONE = [(f"test {number}", str(number % 2)) for number in range(6)]

READ = [
    _right("mark and quotes", "a.csv", b"\xef\xbb\xbf" + PLAIN.encode()),
    _right("line ends of Windows", "a.csv", plain(ROWS, end="\r\n")),
    _right("line ends of old Macs", "a.csv", plain(ROWS, end="\r")),
    _right("line ends converted twice", "a.csv", plain(ROWS, end="\r\r\n")),
    _right("no end of the last line", "a.csv", PLAIN.rstrip()),
    _right("blank lines", "a.csv", "\n \n" + PLAIN.replace("\n", "\n\n \n")),
    _right("semicolons", "a.csv", plain(ROWS, delimiter=";")),
    _right("tabs named csv", "a.csv", plain(ROWS, delimiter="\t")),
    _right("commas named tsv", "a.tsv", PLAIN),
    _right("bars", "a.csv", bars(ROWS)),
    _right("Excel's first line", "a.csv", b"\xef\xbb\xbfsep=;\r\n" + plain(ROWS, delimiter=";").encode()),
    *(_right(f"in {name}", f"a.{ending}", pack(PLAIN)) for name, ending, pack in PACKINGS),
    _right("packed jsonl", "a.jsonl.gz", gzip.compress(lines(ROWS).encode())),
    _right("jsonl with a mark", "a.jsonl", b"\xef\xbb\xbf" + lines(ROWS).encode()),
    _right("jsonl in escapes", "a.jsonl", "".join(json.dumps({"label": b, "text": a}) + "\r\n" for a, b in ROWS)),
    _right("json array", "a.json", json.dumps([{"text": a, "label": b} for a, b in ROWS], indent=1)),
    _right("names with spaces", "a.csv", plain(ROWS, header=(" text", "label\u200b "))),
    _right("an index column", "a.csv", plain([(str(n), *row) for n, row in enumerate(ROWS)], ("", "text", "label"))),
    _right("unused columns twice", "a.csv", plain([("1", *row, "2") for row in ROWS], ("id", "text", "label", "id"))),
    _right("columns without names", "a.csv", plain([(*row, "", "") for row in ROWS], ("text", "label", "", ""))),
    _right("column called on", "a.csv", plain(ROWS, ("text", "on")), task={"columns": {"label": "on"}, **HELD_OUT}),
    _right(
        "column called 1",
        "a.csv",
        plain(ROWS, ("1", "null")),
        task={"columns": {"text": "1", "label": "null"}, **HELD_OUT},
    ),
    _right("parquet with categories", "a.parquet", parquet(*zip(*ROWS, strict=True), kind="dictionary")),
    _right("parquet of large strings", "a.parquet", parquet(*zip(*ROWS, strict=True), kind="large_string")),
    _right("parquet of bytes", "a.parquet", parquet(*zip(*ROWS, strict=True), kind="binary")),
    _right("parquet with lists beside", "a.parquet", parquet(*zip(*ROWS, strict=True), kind="string", nested=True)),
]

ODD_TEXTS = [(text, "good" if n % 3 else "bad") for n, text in enumerate(
    ["NA", "null", "None", "nan", "true", "007", "3.0", "2020-01-02", "one\r\ntwo", 'say ""', "it's \\", "=1+1", "#tag",
     "שלם \u202bעלם\u202c", "zero\u200bwidth", "e\u0301 é", "good " * 40_000, "- [x]: {y}", "\u2028line", "a\tb"]
)]  # fmt: skip

LABELS = [
    _right("texts that look like something else", "a.csv", plain(ODD_TEXTS), ODD_TEXTS),
    _right("the same texts as jsonl", "a.jsonl", lines(ODD_TEXTS), ODD_TEXTS),
    _right("the same texts as parquet", "a.parquet", parquet(*zip(*ODD_TEXTS, strict=True), kind="string"), ODD_TEXTS),
    _tested("0 and 1, tested as numbers", TWO, "b.jsonl", lines([(t, int(n)) for t, n in ZERO_ONE]),
            _labelled("0", "1"), ZERO_ONE),
    _tested("0 and 1, tested as floats", TWO, "b.parquet", parquet(*zip(*[(t, float(n)) for t, n in ZERO_ONE],
            strict=True)), _labelled("0", "1"), ZERO_ONE, "'0.0' as '0', '1.0' as '1'"),
    _tested("true and false", plain(_labelled("False", "True")), "b.parquet",
            parquet(*zip(*[(t, n == "1") for t, n in ZERO_ONE], strict=True)), _labelled("False", "True"),
            [(t, "True" if n == "1" else "False") for t, n in ZERO_ONE], "'false' as 'False'"),
    _tested("composed in two ways", plain(_labelled("é", "b")), "b.csv",
            plain([("x", "e\u0301"), ("y", "b")]), _labelled("é", "b"), [("x", "é"), ("y", "b")], "as 'é'"),
    _right("NA as a label", "a.csv", plain(_labelled("NA", "DE")), _labelled("NA", "DE"), notes=["the label 'NA' is"],
           task=HELD_OUT),
    _right("labels with spaces", "a.csv", plain(_labelled("a", "a ", " b", "\u200bb")), _labelled("a", "a", "b", "b"),
           notes=["white space around"], task=HELD_OUT),
    _right("leading zeros", "a.csv", plain(_labelled("01", "1")), _labelled("01", "1"), task=HELD_OUT),
    _right("labels that differ in case", "a.csv", plain(_labelled("Pos", "pos")), _labelled("Pos", "pos"),
           notes=["differ in case alone"], task=HELD_OUT),
    _right("5,000 classes", "a.csv", plain([(f"row {n}", f"class {n % 5000}") for n in range(10_000)]),
           [(f"row {n}", f"class {n % 5000}") for n in range(10_000)], task=HELD_OUT),
    _right("one row of a class", "a.csv", plain([*ROWS, ("odd one", "once")]), [*ROWS, ("odd one", "once")],
           notes=["the label 'once' has one training row"]),
    _right("missing labels dropped", "a.parquet", parquet(*zip(*_labelled(1, None, 2), strict=True)),
           [(text, f"{label}.0") for text, label in _labelled(1, None, 2) if label], notes=["8 rows without"],
           task={"incomplete": "drop", **HELD_OUT}),
    _right("two labels of one text", "a.csv", plain([*ROWS, (TEXTS[5], "good"), (TEXTS[5], "bad")]),
           [*ROWS, (TEXTS[5], "good"), (TEXTS[5], "bad")], notes=["with another label"]),
]  # fmt: skip

REFUSED = [
    _refused("latin-1", "a.csv", PLAIN.replace("🙂", "").encode("latin-1"), "a.csv:2", "--encoding latin-1", "müßig"),
    _refused("cp1252", "a.csv", 'text,label\nx "y",a\n\x93quoted\x94,b\n'.encode("latin-1"), "a.csv:3", "cp1252"),
    _refused("mixed encodings", "a.csv", PLAIN.encode() + b"caf\xe9,good\n", "a.csv:50", "mend that line"),
    _refused("UTF-16 without its mark", "a.csv", PLAIN.encode("utf-16-le"), "UTF-16 without its mark", "as UTF-8"),
    _refused("a NUL", "a.csv", PLAIN + '"a\0b","good"\n', "holds NUL bytes", "a.csv:50"),
    _refused("cut-off gzip", "a.csv.gz", gzip.compress(PLAIN.encode())[:-30], "ends in the middle", "again"),
    _refused("an escape in place of a quote", "a.csv", PLAIN + '"say \\"hi\\", so","good"\n', "a.csv:50", "twice"),
    _refused("a quote that stays open", "a.csv", PLAIN + '"open,good\nmore,bad\n', "never closed", "a.csv:50"),
    _refused(
        "stray quotes in tsv", "a.tsv", 'text\tlabel\n"a\tgood\nb"\tbad\nc\tgood\n', "a.tsv:2", "one row by their"
    ),
    _refused("a row too wide", "a.csv", "text,label\na, b,good\nc,bad\n", "a.csv:2", "3 columns, the header has 2"),
    _refused("a row too narrow", "a.csv", "text,label\na,good\nc\n", "a.csv:3", "1 columns, the header has 2"),
    _refused("a comment", "a.csv", "# export\ntext,label\na,good\nc,bad\n", "a.csv:2", "stand in line 2"),
    _refused("a header in the middle", "a.csv", PLAIN + '"text","label"\nx,good\n', "repeats its header", "a.csv:50"),
    _refused("no header", "a.csv", "\n".join(PLAIN.splitlines()[1:]), "no column 'label'", "columns' names above it"),
    _refused("a used column twice", "a.csv", "text,label,text\na,good,b\n", "2 columns 'text': the columns 1 and 3"),
    _refused("other case in names", "a.csv", plain(ROWS, ("Text", "label")), "no column 'text'", "mean 'Text'?"),
    _refused("one column", "a.csv", "text\na\nb\n", "no column 'label'", "accepted: text"),
    _refused("a header alone", "a.csv", "text,label\n", "holds no rows"),
    _refused("an empty file", "a.csv", b"", "holds no rows"),
    _refused("array named jsonl", "a.jsonl", "[\n" + lines(ROWS) + "]", "a.jsonl:1", "is named .json"),
    _refused("commas after the lines", "a.jsonl", lines(ROWS).replace("}\n", "},\n"), "a.jsonl:1", "without a comma"),
    _refused("a key twice", "a.jsonl", lines(ROWS) + '{"text": "a", "label": "x", "label": "y"}', "'label' twice"),
    _refused("a list of labels", "a.jsonl", lines([("a", ["x", "y"])]), "'label' of a.jsonl holds a list", "a.jsonl:1"),
    _refused("labels of lists", "a.parquet", parquet(["a", "b"], [["x"], ["y"]]), "'label' of a.parquet holds list"),
    _refused("spellings in one file", "a.csv", plain(_labelled("1", "1.0", "2")), "'1' and '1.0' are one class"),
    _refused("an id as label", "a.csv", plain([(t, str(n)) for n, t in enumerate(TEXTS)]), "48 distinct values in 48"),
    _refused("one label", "a.csv", plain([(text, "good") for text in TEXTS]), "all training rows have the label"),
    _refused("NaN labels", "a.parquet", parquet(["a", "b", "c"], [1.0, float("nan"), 2.0]), "1 of 3 rows", "drop"),
    _refused(
        "an unseen label", "a.csv", plain([*ROWS, ("x", "\u200b\u2060")]), "1 of 49 rows", "lack a text or a label"
    ),
    _refused("an unseen text", "a.csv", plain([*ROWS, (" \u200b", "good")]), "1 of 49 rows", "lack a text"),
    _refused("train as test", "a.csv", PLAIN, "48 of 48 test rows also stand in train", test="a.csv", overlap="refuse"),
    _refused("no labels to test", "a.csv", PLAIN, "a.csv has no column 'gold'", columns={"label": "gold"}),
    _refused("a folder", "a.csv", PLAIN, "it is a folder", train="model"),
    _refused("a number as name", "a.csv", PLAIN, "text is needed", '"1"', columns={"text": 1, "label": "label"}),
    _refused("no Excel", "a.xlsx", zipped("[Content_Types].xml", "xl/workbook.xml"), "not a whole workbook", "as CSV"),
    _refused("Excel named csv", "a.csv", zipped("xl/workbook.xml"), "is an Excel file", "rename it to .xlsx"),
    _refused("Arrow", "a.arrow", feather(TEXTS), "is an Arrow (Feather) file", "write it as parquet"),
    _refused("parquet named csv", "a.csv", parquet(["a"], ["b"]), "is a parquet file", "rename it to .parquet"),
    *(_refused(name, file, content, *words) for name, file, content, words in CONTENTS),
]


def _init(name: str, content: bytes | str, wrong: Check) -> Case:
    """`compress init` on a file, which must then have a recipe for it."""

    def prepare(folder: Path) -> list[str]:
        _write(folder, {"train.csv": content})
        return ["init", "--model", "model", "--train", "train.csv", "--json"]

    return Case(name, "data for init", prepare, wrong)


def _recipe_has(columns: dict[str, str], labels: Sequence[str]) -> Check:
    def check(folder: Path, ended: Ended) -> str | None:
        written = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))["task"]["columns"]
        told = json.loads(ended.stdout)["labels"]
        return None if (written, told) == (columns, list(labels)) else f"columns {written}, labels {told}"

    return succeeded(check)


INDEXED = plain([(str(n % 2), text, label) for n, (text, label) in enumerate(ROWS)], ("Unnamed: 0", "mail", "spam"))
INIT = [
    _init("an index column", INDEXED, _recipe_has({"text": "mail", "label": "spam"}, ["bad", "good"])),
    _init("semicolons and a mark", b"\xef\xbb\xbf" + plain(ROWS, ("Review", "Stars"), ";").encode(),
          _recipe_has({"text": "Review", "label": "Stars"}, ["bad", "good"])),
    _init("names of YAML", plain(ROWS, ("null", "on")), _recipe_has({"text": "null", "label": "on"}, ["bad", "good"])),
    _init("latin-1", PLAIN.replace("🙂", "").encode("latin-1"), refused("--encoding latin-1", "train.csv:2", code=2)),
]  # fmt: skip

CASES = [*READ, *LABELS, *REFUSED, *INIT]
