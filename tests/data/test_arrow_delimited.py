"""Large delimited texts are read by pyarrow, and give what our own reader gives, or are left to it."""

import csv
import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.data import arrow_delimited
from compress.data.arrow_delimited import arrow_records
from compress.data.readers import read_table
from compress.errors import InputError

CELLS = st.text(alphabet='ab1 ,;\t|"\n\r\0é\ufeff#\\\u2028', max_size=6)
CONTENT = st.text(alphabet='ab1 ,\t"\n\ré\ufeff', max_size=60)


def outcome(path, monkeypatch, least):
    monkeypatch.setattr(arrow_delimited, "LEAST_BYTES", least)
    try:
        table = read_table(path)
        return table, table.notes
    except InputError as error:
        return error.what, error.where, error.fix


def same(path, monkeypatch):
    ours = outcome(path, monkeypatch, 2**60)
    assert outcome(path, monkeypatch, 0) == ours
    return ours


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_what_was_written_is_read_the_same_both_ways(tmp_path, monkeypatch, rows, delimiter, quoting, end, encoding):
    with (tmp_path / "a.csv").open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(
            [["text", "b", "c"], *rows]
        )
    same(tmp_path / "a.csv", monkeypatch)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=CONTENT, header=st.sampled_from(["", "a,b\n", '"a","b"\r\n', "a\tb\n", '"a\nb",b\n', "\n\na,b\n"]))
def test_any_text_is_read_or_refused_the_same_both_ways(tmp_path, monkeypatch, content, header):
    (tmp_path / "a.csv").write_bytes((header + content).encode())
    same(tmp_path / "a.csv", monkeypatch)


@pytest.mark.parametrize(
    ("content", "by_arrow"),
    [
        (b"text,label\ngood,1\n\nbad,0\n", True),
        (b'\xef\xbb\xbf"text",label\r\n"a, b""c""",NA\r\nnull,1.0\r\n', True),
        (b'text,label\n"two\nlines",1\nbad,0', True),
        (b'text,label\n"a""",1\n"""b",0\n"","x"\n', True),
        (b'"two\nlines",b,c\n1.0,2.0,003\n', True),
        (b'"1\n2",3,4\n5,1.0,003\n', False),
        (b'text,label\na 5" disk,1\n', False),
        (b'text,label\n"b"c,1\n', False),
        (b'text,label\n"b,1\n', False),
        (b'text,label\n "b",1\n', False),
        (b"text,label\nb\r,1\n", False),
        (b"text,label\rgood,1\rbad,0\r", False),
        (b"text,label\ngood,1\n \nbad,0\n", False),
        (b"text,label\ngood\0,1\n", False),
        (b"text,label\ncaf\xe9,1\n", False),
        (b"text,label\ngood,1,2\n", False),
        (b"text,label\ngood,1\n text, label\n", False),
        (b'text,label\n"a,1\nb,0\nc",1\n', False),
        (b"Report,,\ntext,label,\ngood,1,\n", False),
        (b"text\ngood\n", False),
        (b"\n\ntext,label\ngood,1\n", True),
    ],
)
def test_what_arrow_would_forgive_is_left_to_our_reader(tmp_path, monkeypatch, content, by_arrow):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    same(path, monkeypatch)
    assert (arrow_records(path, ",") is not None) == by_arrow
    path.write_bytes(gzip.compress(content))
    same(path, monkeypatch)


def test_a_large_file_takes_the_fast_way_and_a_small_one_does_not(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + '"a, good\nfilm",NA\n' * 3000)
    monkeypatch.setattr(arrow_delimited, "LEAST_BYTES", path.stat().st_size)
    monkeypatch.setattr("compress.data.delimited._table", lambda *_: pytest.fail("our reader was asked"))
    table = read_table(path)
    assert table.columns == ("text", "label")
    assert table.rows == [("a, good\nfilm", "NA")] * 3000
    monkeypatch.setattr(arrow_delimited, "LEAST_BYTES", path.stat().st_size + 1)
    with pytest.raises(pytest.fail.Exception, match="our reader was asked"):
        read_table(path)


def test_what_is_too_large_to_be_held_twice_is_left_to_our_reader(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\n" + b"good,1\n" * 1000))
    monkeypatch.setattr(arrow_delimited, "LEAST_BYTES", 0)
    assert len(arrow_records(path, ",")) == 1001
    monkeypatch.setattr(arrow_delimited, "_MOST_BYTES", 7000)
    assert arrow_records(path, ",") is None
    assert len(read_table(path).rows) == 1000
