"""Files as people have them: each gives the right rows, or one error that says what it is."""

import csv
import io
import json
import sqlite3
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from compress.data.readers import read_table
from compress.errors import InputError
from tests.data.conftest import packed

ROWS = [("good film", "1"), ("bad film", "0")]
CSV = "text,label\ngood film,1\nbad film,0\n"
LINES = '{"text": "good film", "label": 1}\n{"text": "bad film", "label": 0}\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("packed.csv.gz", packed(CSV.encode())),
        ("packed.csv", packed(CSV.encode())),
        ("packed-twice-over.tsv.gz", packed(b"text\tlabel\ngood film\t1\n") + packed(b"bad film\t0\n")),
        ("packed.jsonl.gz", packed(LINES.encode("utf-16"))),
        ("not-packed.csv.gz", CSV.encode()),
        ("utf16-le.csv", "\ufeff".encode("utf-16-le") + CSV.encode("utf-16-le")),
        ("utf16-be.csv", "\ufeff".encode("utf-16-be") + CSV.encode("utf-16-be")),
        ("utf32-le.csv", "\ufeff".encode("utf-32-le") + CSV.encode("utf-32-le")),
        ("utf32-be.tsv", "\ufeff".encode("utf-32-be") + CSV.replace(",", "\t").encode("utf-32-be")),
        ("utf16.jsonl", LINES.encode("utf-16")),
        ("mark-and-quotes.csv", b"\xef\xbb\xbf" + b'"text","label"\n"good film","1"\n"bad film","0"\n'),
        ("semicolons.csv", CSV.replace(",", ";").encode()),
        ("tabs.csv", CSV.replace(",", "\t").encode()),
        ("bars.csv", CSV.replace(",", "|").encode()),
        ("commas.tsv", CSV.encode()),
        ("excel.csv", b"\xef\xbb\xbfsep=;\r\n" + CSV.replace(",", ";").replace("\n", "\r\n").encode()),
        ("excel-tab.csv", b"sep=\t\n" + CSV.replace(",", "\t").encode()),
        ("blank-lines.csv", b"text,label\n \ngood film,1\n\t \n\nbad film,0\n \n"),
        ("blank-first.csv", b"\n \n\n" + CSV.replace(",", ";").encode()),
        ("old-mac.csv", CSV.replace("\n", "\r").encode()),
        ("twice-converted.csv", CSV.replace("\n", "\r\r\n").encode()),
        ("mixed-ends.csv", b"text,label\r\ngood film,1\nbad film,0\r"),
        ("spaces-in-header.csv", CSV.replace("text,label", " text , label").encode()),
        ("marks-in-header.csv", CSV.replace("label", "\u200blabel\ufeff").encode()),
        ("index.csv", b",text,label\n0,good film,1\n1,bad film,0\n"),
        ("unnamed.csv", b"Unnamed: 0,text,label\n0,good film,1\n1,bad film,0\n"),
        ("two-unnamed.csv", b"text,label,,\ngood film,1,,\nbad film,0,x,\n"),
        ("others-twice.csv", b"id,text,id,label\n1,good film,2,1\n3,bad film,4,0\n"),
        ("lines.json", LINES.encode()),
        ("array.json", json.dumps([{"text": t, "label": int(n)} for t, n in ROWS]).encode()),
        (
            "mark-array.json",
            b"\xef\xbb\xbf\n" + json.dumps([{"text": t, "label": n} for t, n in ROWS]).encode(),
        ),
        ("order.jsonl", b'{"label": 1, "text": "good film"}\r\n \r\n{"id": [1], "text": "bad film", "label": 0}'),
    ],
)
def test_the_rows_are_right(columns, name, content):
    assert columns(name, content) == ROWS


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('"one\r\ntwo"', "one\r\ntwo"),
        ('"one, two\n\n""three"""', 'one, two\n\n"three"'),
        ('a 5" disk', 'a 5" disk'),
        ('it\'s \\"fine\\"', 'it\'s \\"fine\\"'),
        ("NA", "NA"),
        ("null", "null"),
        ("None", "None"),
        ("nan", "nan"),
        ("3.0", "3.0"),
        ("007", "007"),
        ("2020-01-02", "2020-01-02"),
        ("TRUE", "TRUE"),
        ("שלם \u202bעלם\u202c", "שלם \u202bעלם\u202c"),
        ("zero\u200bwidth \u00a0", "zero\u200bwidth \u00a0"),
        ("e\u0301", "e\u0301"),
        ("#comment", "#comment"),
        ("=1+1", "=1+1"),
        ("9" * 5000, "9" * 5000),
        ('"' + "good, " * 100_000 + '"', "good, " * 100_000),
    ],
)
def test_a_text_stays_what_it_is(columns, cell, expected):
    assert columns("a.csv", f"text,label\n{cell},1\nx,0\n") == [(expected, "1"), ("x", "0")]
    if "\n" not in expected and not cell.startswith('"'):
        assert columns("a.jsonl", json.dumps({"text": expected, "label": "1"}))[0] == (expected, "1")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["a", None, "b"]).dictionary_encode(), ["a", "", "b"]),
        (pa.array([3, 1, 3]).dictionary_encode(), ["3", "1", "3"]),
        (pa.array(["a", "ü"], pa.large_string()), ["a", "ü"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array([b"a", "ü".encode(), None], pa.binary()), ["a", "ü", ""]),
        (pa.array([True, False, None]), ["true", "false", ""]),
        (pa.array([1, 0, None], pa.int8()), ["1", "0", ""]),
        (pa.array([1.0, 2.5, float("nan"), None]), ["1.0", "2.5", "", ""]),
        (pa.array([2**63], pa.uint64()), [str(2**63)]),
        (pa.array([1577923200], pa.timestamp("s")), ["2020-01-02 00:00:00"]),
        (pa.array([18263], pa.date32()), ["2020-01-02"]),
        (pa.array(["1.50"]).cast(pa.decimal128(4, 2)), ["1.50"]),
        (pa.array([None, None], pa.null()), ["", ""]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_parquet_values_are_the_texts_that_people_expect(tmp_path, values, expected):
    nested = pa.array([{"a": [1]}] * len(values))
    pq.write_table(pa.table({"label": values, "nested": nested}), tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.column("label", None) == expected
    with pytest.raises(InputError, match=r"the column 'nested' of a\.parquet holds struct"):
        table.column("nested", None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1"),
        ("1.0", "1.0"),
        ('"1"', "1"),
        ("true", "true"),
        ("null", ""),
        ("NaN", ""),
        ("-0.5", "-0.5"),
        ('"null"', "null"),
        ('" a "', " a "),
        ('"\\ud83d\\ude00"', "😀"),
        ("12345678901234567890123", "12345678901234567890123"),
    ],
)
def test_json_values_are_the_texts_that_people_expect(columns, value, text):
    assert columns("a.jsonl", f'{{"text": "x", "label": {value}}}\n{{"text": "y", "label": 0}}\n')[0] == ("x", text)


@pytest.mark.parametrize(("value", "what"), [("[1]", "a list"), ('{"a": 1}', "an object")])
def test_a_nested_value_is_no_label_but_may_stand_beside(columns, refused, value, what):
    line = f'{{"text": "x", "label": 1}}\n{{"text": "x", "label": {value}}}\n'
    assert refused("a.jsonl", line).what == f"the column 'label' of a.jsonl holds {what} (a.jsonl:2)"
    assert columns("b.jsonl", line.replace("label", "more").replace('"text"', '"label": 1, "text"'))[1] == ("x", "1")


def _zip(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return content.getvalue()


def _written(write):
    content = io.BytesIO()
    write(content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "what", "fix"),
    [
        ("a.csv", _zip("[Content_Types].xml", "xl/workbook.xml"), "an Excel file", "rename it to .xlsx"),
        ("a.docx", _zip("[Content_Types].xml", "word/document.xml"), "a Word file", "write its rows as CSV"),
        ("a.csv", _zip("a.csv"), "a zip archive", "unpack it"),
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "an old Excel", "rename it to .xls"),
        ("a.csv", b"\n <!DOCTYPE HTML><title>404</title>", "an HTML page", "download the file itself"),
        ("a.jsonl", b"<html><body>x", "an HTML page", "download the file itself"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer", "git lfs pull"),
        ("a.csv", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer", "git lfs pull"),
        ("a.csv", _written(lambda out: pq.write_table(pa.table({"text": ["a"]}), out)), "a parquet file", "rename it"),
        ("a.feather", _written(lambda o: pa.feather.write_feather(pa.table({"a": [1]}), o)), "an Arrow", "as parquet"),
        ("a.pkl", b"\x80\x04\x95\x10\0\0", "a pickle", "as CSV or parquet"),
        ("a.csv", b"\x80\x05\x95\x10\0\0", "a pickle", "as CSV or parquet"),
        ("a.csv", b"%PDF-1.7", "a PDF", "a table of rows"),
        ("a.csv", b"BZh91AY", "a packed file", "gzip"),
        ("a.csv.zst", b"\x28\xb5\x2f\xfd...", "a packed file", "gzip"),
        ("a.csv.gz", packed(packed(CSV.encode())), "packed twice", "unpack it once"),
        ("a.csv.gz", packed(_zip("a")[:0] + bytes(257) + b"ustar" + bytes(300)), "a tar archive", "unpack it"),
        ("a.csv", b"<?xml version='1.0'?>", "an XML file", "as CSV"),
    ],
)
def test_what_is_no_table_is_named(refused, name, content, what, fix):
    error = refused(name, content)
    assert error.what.startswith(f"'{name}' is {what}")
    assert fix in error.fix


def test_a_database_is_named(tmp_path):
    connection = sqlite3.connect(tmp_path / "a.csv")
    connection.execute("create table rows (text)")
    connection.close()
    with pytest.raises(InputError, match="is an SQLite database"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "what", "where", "fix"),
    [
        ("a.csv", CSV.encode("utf-16-le"), "holds NUL bytes: it seems to be UTF-16", "a.csv:1", "--encoding utf-16-le"),
        (
            "a.csv",
            "täxt,label\n".encode("utf-16-be"),
            "it seems to be UTF-16 without",
            "a.csv:1",
            "--encoding utf-16-be",
        ),
        (
            "a.csv",
            b'text,label\n"m\xfc\xdfig, ""x""",1\n',
            'latin-1 reads that line as \'"müßig, ""x""",1\'',
            "a.csv:2",
            "if that is right, give --encoding latin-1 (in a recipe task.encoding: latin-1); else the one",
        ),
        (
            "a.csv",
            b"text,label\nx \x93q\x94,1\n",
            "cp1252 reads that line as 'x “q”,1'",
            "a.csv:2",
            "--encoding cp1252",
        ),
        (
            "a.csv",
            "text,label\nä,1\n".encode() + b"\xe4,0\n",
            "is not UTF-8 text: that line reads '�,0'",
            "a.csv:3",
            "mend that line",
        ),
        ("a.csv", CSV.encode("utf-16")[:-1], "is not whole UTF-16 text", "a.csv", "as UTF-8"),
        ("a.csv.gz", packed(b"text,label\ncaf\xe9,1\n"), "as 'café,1'", "a.csv.gz:2", "--encoding latin-1"),
        ("a.csv.gz", packed(CSV.encode() * 99)[:-20], "ends in the middle", "a.csv.gz", "again"),
        ("a.csv.gz", b"\x1f\x8b\x08" + bytes(50), "is damaged", "a.csv.gz", "again"),
        ("a.csv", LINES, "holds JSON", "a.csv:1", "rename it to .jsonl"),
        ("a.csv", "[\n{}]", "holds JSON", "a.csv:1", ".json (an array)"),
        ("a.jsonl", "[\n" + LINES + "]", "a line that is not JSON", "a.jsonl:1", "is named .json"),
        ("a.jsonl", '[{"text": "a"}]', "holds list, not an object", "a.jsonl:1", "is named .json"),
        ("a.jsonl", '{\n"text": "a"}', "a line that is not JSON", "a.jsonl:1", "spans several lines"),
        ("a.jsonl", '{"text": "a", "label": 1},\n', "a line that is not JSON", "a.jsonl:1", "without a comma"),
        ("a.json", '{"text": {"0": "a"}, "label": {"0": 1}}', "'text' of a.json holds an object", None, "one text"),
        ("a.csv", "text,label\n0,a,1\n", "has 3 columns, the header has 2", "a.csv:2", "row names"),
        ("a.csv", "text,label\na,1\nb, c,1\n", "has 3 columns, the header has 2", "a.csv:3", "needs quotes"),
        ("a.csv", "text,label\na,1\n# note\n", "has 1 columns, the header has 2", "a.csv:3", "a comment is no row"),
        ("a.csv", "text,label,text\na,1,b\n", "has 2 columns 'text': the columns 1 and 3", None, "rename all but one"),
        ("a.csv", "text,label , label\na,1,b\n", "2 columns 'label': the columns 2 and 3", None, "rename all but one"),
        ("a.csv", "a good film,1\na bad film,0\n", "has no column 'text'", None, "write the columns' names above it"),
        ("a.csv", "text\na\n", "has no column 'label'", None, "accepted: text"),
        ("a.csv", "Text,LABEL\na,1\n", "has no column 'text'", None, "did you mean 'Text'?"),
        ("a.csv", "# made by x\ntext,label\na,1\n", "to stand in line 2: text, label", "a.csv:2", "remove what"),
        (
            "a.csv",
            "text,label\na,1,\nb,0,\n",
            "has 3 columns, the header has 2",
            "a.csv:2",
            "behind the header",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_its_fix(refused, name, content, what, where, fix):
    error = refused(name, content)
    assert what in error.what
    assert error.where == where
    assert fix in error.fix


def test_a_gzip_bomb_is_refused_on_the_way(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed(b"text,label\n" + b"a" * 3_000_000 + b",1\n"))
    assert len(read_table(path).rows[0][0]) == 3_000_000
    monkeypatch.setattr("compress.data.contents.SMALL_BYTES", 2**20)
    with pytest.raises(InputError, match=r"'a\.csv\.gz' unpacks to more than 200 times its size"):
        read_table(path)


def test_a_file_of_more_rows_than_memory_holds_is_refused_on_the_way(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("a,b\n" + "x,y\n" * 5000)
    monkeypatch.setattr("compress.data.tables.MAX_CELLS", 8000)
    with pytest.raises(InputError, match="has 4,096 rows of 2 columns; at most 8,000 values are read"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_parquet_whose_one_text_stands_in_every_row_is_refused_before_it_is_unpacked(
    tmp_path, monkeypatch, dictionary
):
    texts = pa.array(["a" * 100_000]).dictionary_encode()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 4096, pa.int32()), texts.dictionary)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": column if dictionary else column.cast(pa.string())}), path, compression="zstd")
    monkeypatch.setattr("compress.data.parquet.SMALL_BYTES", 2**26)
    monkeypatch.setattr("compress.data.parquet.text_of", lambda _: pytest.fail("it was unpacked"))
    with pytest.raises(InputError, match=r"'a\.parquet' unpacks to more than 200 times its size"):
        read_table(path)


def test_many_columns_and_long_names_make_a_short_message(tmp_path):
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[f"{n} " + "x" * 500 for n in range(500)], ["a"] * 500])
    with pytest.raises(InputError, match=r"… \(500 in all\)") as caught:
        read_table(tmp_path / "a.csv").column("text", None)
    assert len(caught.value.fix) < 1500


def test_a_csv_cell_of_many_lines_that_look_like_rows_is_told(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"a,1\nb,0\nc,1\nd",0\n"one, two\nthree",1\n')
    table = read_table(tmp_path / "a.csv")
    assert len(table.rows) == 2
    assert table.notes == ("lines 2 to 5 of a.csv are one row by their quotes, but look like rows",)
    (tmp_path / "a.csv").write_text("text,label\n" + '"a,1\nb,0\nc",1\n' * 9)
    assert read_table(tmp_path / "a.csv").notes == (
        "lines 2 to 4 of a.csv are one row by their quotes, but look like rows (and 8 more such rows)",
    )


@pytest.mark.parametrize("values", [pa.nulls(300_000), pa.array([True] * 300_000), pa.array([7] * 300_000, pa.int8())])
def test_rows_of_which_the_file_says_nearly_nothing_are_counted_by_their_number(tmp_path, monkeypatch, values):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": values, "label": values}), path)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("compress.data.parquet.SMALL_BYTES", 2**25)
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
        read_table(path)
