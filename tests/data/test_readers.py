import csv
import json
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compress.data.readers import read_table
from compress.data.tables import Table
from compress.errors import InputError
from tests.waiting import at_once

ORANGE = "Text\tCategory\nstring\tdiscrete\nmeta\tclass\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\ngood film,1\nbad film,0\n"),
        ("a.CSV", "text,label\ngood film,1\nbad film,0\n"),
        ("no-newline.csv", "text,label\ngood film,1\nbad film,0"),
        ("windows.csv", "text,label\r\ngood film,1\r\nbad film,0\r\n"),
        ("blank-lines.csv", "text,label\n\ngood film,1\n\n\nbad film,0\n\n"),
        ("mark.csv", "\ufefftext,label\ngood film,1\nbad film,0\n"),
        ("quoted.csv", '"text","label"\n"good film","1"\nbad film,"0"\n'),
        ("a.tsv", "text\tlabel\ngood film\t1\nbad film\t0\n"),
        ("a.txt", "text\tlabel\ngood film\t1\nbad film\t0\n"),
        ("a.ndjson", '{"text": "good film", "label": 1}\n{"text": "bad film", "label": 0}\n'),
        ("a.jsonl", '{"text": "good film", "label": 1}\n\n{"label": "0", "text": "bad film"}\n'),
        ("mark.jsonl", '\ufeff{"text": "good film", "label": 1}\n{"text": "bad film", "label": 0}\n'),
        ("a.tab", "text\tlabel\nstring\td\nmeta\tclass\ngood film\t1\nbad film\t0\n"),
        ("mark.tab", "\ufefftext\tlabel\ns\tc\n\tclass\n\ngood film\t1\n\nbad film\t0\n"),
    ],
)
def test_every_kind_of_file_gives_the_same_table(read, name, content):
    assert read(name, content) == Table(name, ("text", "label"), [("good film", "1"), ("bad film", "0")])


def test_parquet_gives_text_for_numbers_and_nothing_for_null(tmp_path):
    columns = {"text": ["ä", None], "label": [1, 0], "share": [0.5, None], "tags": [["a"], []]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.columns == ("text", "label", "share", "tags")
    assert table.rows == [("ä", "1", "0.5", ""), ("", "0", "", "")]
    with pytest.raises(InputError, match=r"the column 'tags' of a.parquet holds list<element: string>"):
        table.column("tags", None)


def test_quotes_hold_delimiters_lines_and_quotes(read):
    table = read("a.csv", 'text,label\n"one, two\nthree ""four""",1\n')
    assert table.rows == [('one, two\nthree "four"', "1")]


def test_any_csv_comes_back_as_it_was_written(tmp_path):
    alphabet = ['"', ",", "\n", "\t", " ", "é", "x", "'", "\\", "\u2028"]
    for seed in range(50):
        random_ = random.Random(seed)
        rows = [
            tuple("x" + "".join(random_.choices(alphabet, k=random_.randint(0, 8))) for _ in range(3))
            for _ in range(random_.randint(1, 6))
        ]
        with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("a", "b", "c"), *rows])
        assert read_table(tmp_path / "a.csv").rows == rows


def test_jsonl_takes_the_union_of_the_keys_and_writes_values_as_json(read):
    table = read("a.jsonl", '{"a": true, "b": null}\n{"b": 1.5, "c": {"x": "ä"}}\n')
    assert table.columns == ("a", "b", "c")
    assert table.rows == [("true", "", ""), ("", "1.5", '{"x": "ä"}')]


def test_jsonl_reads_escaped_characters_and_line_separators(read):
    text = "smile 😀 line\u2028separator"
    assert read("a.jsonl", json.dumps({"text": text})).rows == [(text,)]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.tab"])
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_holds_no_rows(refused, name, content):
    error = refused(name, content)
    assert error.what == f"'{name}' holds no rows"
    assert error.where == "recipe.yaml:4"


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "text,label\n"), ("a.tsv", "text\tlabel\n\n"), ("a.tab", ORANGE)]
)
def test_a_header_alone_holds_no_rows(refused, name, content):
    assert refused(name, content).what == f"'{name}' holds no rows"


def test_a_parquet_without_rows_holds_no_rows(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"'a.parquet' holds no rows"):
        read_table(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("name", "content", "has", "line"),
    [
        ("a.csv", "text,label\na,1\nb\n", 1, 3),
        ("a.csv", "text,label\n\n\na,1,2\n", 3, 4),
        ("a.csv", 'text,label\n"two\nlines",1\nb\n', 1, 4),
        ("a.tsv", "text\tlabel\na\t1\nb\t2\t\n", 3, 3),
        ("a.tab", ORANGE + "a\t1\nb\n", 1, 5),
    ],
)
def test_a_ragged_row_is_told_with_its_line(refused, name, content, has, line):
    error = refused(name, content)
    assert error.what == f"a row of '{name}' has {has} columns, the header has 2"
    assert error.where == f"{name}:{line}"


@pytest.mark.parametrize(
    ("name", "content", "what", "line"),
    [
        ("a.csv", 'text,label\na,1\n"b,2\n', "is not well-formed: a quote that is never closed", 3),
        ("a.csv", 'text,label\n"b"c,2\n', "is not well-formed: ',' expected after '\"'", 2),
        ("a.csv", 'text,label\na,1\n"b\nc\nd,2\n', "is not well-formed: a quote that is never closed", 3),
        ("a.csv", 'text,label\n"b \\"c\\"",2\n', "is not well-formed: ',' expected after '\"' in line 2", 2),
        ("a.csv", "text,label\na,1\ntext,label\nb,2\n", "repeats its header", 3),
        ("a.csv", "\ufefftext,label\na,1\n\ufefftext,label\nb,2\n", "repeats its header", 3),
        ("a.csv", "text,label\na,1\nb\0,2\n", "holds NUL bytes", 3),
        ("a.tsv", 'text\tlabel\na\t0\n"b\t1\nc"\t0\n', "lines 3 to 4 of a.tsv are one row by their quotes", 3),
        ("a.jsonl", '{"a": 1}\n{"b": 1, "a": 2, "b": 3}\n', "names 'b' twice in one object", 2),
        ("a.jsonl", '{"a": 1},\n', "holds a line that is not JSON", 1),
        ("a.json", '[{"a": 1}, 2]', "holds int, not an object", None),
        ("a.json", '{\n "a": 1\n}\n', "holds a line that is not JSON", 1),
        ("a.jsonl", '{"a": 1}\n\n{"a":\n', "holds a line that is not JSON", 3),
        ("a.jsonl", "[" * 100_000, "holds a line that is not JSON", 1),
        ("a.jsonl", '{"a": 1}\n[1, 2]\n', "holds list, not an object", 2),
        ("a.jsonl", '"text"\n', "holds str, not an object", 1),
        ("a.jsonl", '{"a": "ok \\ud83d\\ude00"}\n{"a": "\\ud83d"}\n', "holds half of a character", 2),
    ],
)
def test_a_malformed_line_is_told_with_its_number(refused, name, content, what, line):
    error = refused(name, content)
    assert what in error.what
    assert error.where == (f"{name}:{line}" if line else f"{name}, element 2")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_the_first_line_that_is_not_utf8_is_told(refused, name):
    line = b'{"text": "a"}\n' if name.endswith("jsonl") else b"text\n"
    error = refused(name, line * 5000 + b"caf\xe9\n" + line)
    assert error.what == f"'{name}' is not UTF-8 text; latin-1 reads that line as 'café'"
    assert error.where == f"{name}:5001"
    assert error.fix.startswith("if that is right, give --encoding latin-1 (in a recipe task.encoding: latin-1); ")
    assert (error.option, error.choices) == ("encoding", {"latin-1": "café"})


@pytest.mark.parametrize(
    "content",
    [
        "Text\tCategory\n",
        "Text\tCategory\nstring\tdiscrete\n",
        "Text\tCategory\na fine film\tgood\na bad film\tbad\n",
        "Text\tCategory\nstring\tdiscrete\n\na fine film\tgood\na bad film\tbad\n",
    ],
)
def test_a_tab_file_without_its_three_headers_is_refused(refused, content):
    error = refused("a.tab", content)
    assert "does not begin with Orange's three header lines (names, types, flags)" in error.what
    assert error.where == "a.tab:2"
    assert error.fix == "rename it to .tsv if it has one header line"


@pytest.mark.parametrize(
    "damage",
    [lambda raw: b"junk" * 30, lambda raw: raw[:-20], lambda raw: raw[:4] + raw[60:], lambda raw: b""],
)
def test_a_damaged_parquet_is_told(tmp_path, refused, damage):
    pq.write_table(pa.table({"text": ["a", "b"], "label": [1, 2]}), tmp_path / "whole.parquet")
    assert refused("a.parquet", damage((tmp_path / "whole.parquet").read_bytes())).what == (
        "'a.parquet' is not a parquet file"
    )


@pytest.mark.parametrize("name", ["a.xlsx.gz", "a.doc", "a", "a.gz", "a.parquet.gz"])
def test_an_unknown_ending_lists_the_known_ones(refused, name):
    error = refused(name, "text,label\na,1\n")
    assert error.what.startswith(f"cannot read '{name}': unknown ending")
    assert error.fix == (
        "accepted: .csv, .json, .jsonl, .ndjson, .parquet, .tab, .tsv, .txt, .xlsx, .xlsm, .xlsb, .xls, .ods; texts "
        "also as .csv.gz"
    )


@pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
def test_a_missing_file_is_told_with_its_path(tmp_path, name):
    with pytest.raises(InputError, match="No such file or directory") as caught:
        read_table(tmp_path / name, "recipe.yaml:4")
    assert str(tmp_path / name) in caught.value.what
    assert caught.value.where == "recipe.yaml:4"


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_folder_is_not_a_file(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"cannot read '{name}': it is a folder"):
        read_table(tmp_path / name)


def test_a_column_is_found_by_name():
    table = Table("a.csv", ("text", "label"), [("a", "1"), ("b", "2")])
    assert table.column("label", None) == ["1", "2"]


def test_a_missing_column_names_the_nearest():
    table = Table("a.csv", ("Text", "Category"), [("a", "1")])
    with pytest.raises(InputError, match=r"a.csv has no column 'category'") as caught:
        table.column("category", "recipe.yaml:5")
    assert caught.value.fix == "did you mean 'Category'? accepted: Category, Text"
    assert caught.value.where == "recipe.yaml:5"


def test_a_device_or_a_pipe_is_not_read(tmp_path):
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name in ("zero.csv", "pipe.jsonl"):
        with pytest.raises(InputError, match=f"cannot read '{name}': it is no plain file"):
            read_table(tmp_path / name)


def test_jsonl_whose_every_line_has_a_column_of_its_own_is_refused_at_once(refused):
    with at_once():
        error = refused("a.jsonl", "".join(f'{{"c{n}":1}}\n' for n in range(20_000)))
    assert error.what == "'a.jsonl' has 20,000 rows of 20,000 columns; at most 100,000,000 values are read"


def test_a_parquet_that_unpacks_without_end_is_refused_on_the_way(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a" * 1000] * 100_000, "label": ["x"] * 100_000}), path, compression="zstd")
    assert path.stat().st_size < 50_000
    assert len(read_table(path).rows) == 100_000
    monkeypatch.setattr("compress.data.parquet.SMALL_BYTES", 2**20)
    with pytest.raises(InputError, match=r"'a\.parquet' unpacks to more than 200 times its size"):
        read_table(path)
    monkeypatch.setattr("compress.data.tables.MAX_CELLS", 199_999)
    with pytest.raises(InputError, match=r"has 100,000 rows of 2 columns; at most 199,999 values are read"):
        read_table(path)


def test_a_parquet_with_two_columns_of_the_same_name_is_refused(tmp_path):
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"'a\.parquet' has two columns of the same name"):
        read_table(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**60], pa.timestamp("us")),
        pa.array([2**31 - 1], pa.date32()),
        pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")),
    ],
    ids=["time", "date", "bytes"],
)
def test_values_that_are_none_are_one_clear_error(tmp_path, values):
    pq.write_table(pa.table({"text": values, "more": ["x"]}), tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.column("more", None) == ["x"]
    with pytest.raises(InputError, match="holds a value that is no UTF-8 text, or no date that a calendar has"):
        table.column("text", None)
