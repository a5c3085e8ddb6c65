# ruff: noqa: RUF001  (texts of other scripts)
"""What a file does not say of itself: found where its rows show it, given by options, proposed elsewhere."""

import gzip

import pytest

from compress.data.sources import Sources
from compress.errors import InputError
from compress.recipe.reading import OptionNeededError, Reading, delimiter_sign, option_text, reading_of
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin, validate
from compress.tasks import load_task

ROWS = [("good film", "1"), ("bad film", "0")]
CSV = "text,label\ngood film,1\nbad film,0\n"


def separated(sign):
    return CSV.replace(",", sign)


@pytest.mark.parametrize("sign", [",", ";", "\t", "|", "^", "~", "\x01", "\x1f", ":"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_delimiter_is_found_by_the_rows(columns, name, sign):
    assert columns(name, separated(sign)) == ROWS


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,n;text;label\n1;good, film;1\n2;bad film;0\n", [("good, film", "1"), ("bad film", "0")]),
        ("text;label\ngood, dear, film;1\nbad, film;0\n", [("good, dear, film", "1"), ("bad, film", "0")]),
        ("text,label\na;b,1\nc,0\n", [("a;b", "1"), ("c", "0")]),
        ('text;label\n"a;b, c\nd";1\n"e;""f""";0\n', [("a;b, c\nd", "1"), ('e;"f"', "0")]),
        ('"text, raw";text;label\nx;a;1\ny, z;b;0\n', [("a", "1"), ("b", "0")]),
        ("text|label\n" + "a, b|1\n" * 300, [("a, b", "1")] * 300),
        ("text;label\n" + '"' + "line\n" * 200 + '";1\n', [("line\n" * 200, "1")]),
        ('text\tlabel\nthe 5" disk, "x"\t1\n', [('the 5" disk, "x"', "1")]),
    ],
)
def test_signs_inside_of_texts_mislead_nobody(columns, content, expected):
    assert columns("a.csv", content) == expected


@pytest.mark.parametrize(
    ("delimiter", "sign"),
    [
        (":", ":"),
        ("colon", ":"),
        (" ", " "),
        ("space", " "),
        ("::", "::"),
        ("||", "||"),
        ("@@@", "@@@"),
        ("¦", "¦"),
        ("tab", "\t"),
        ("TAB", "\t"),
        ("\\t", "\t"),
        ("\\x01", "\x01"),
        ("pipe", "|"),
        ("tilde", "~"),
        (";", ";"),
    ],
)
def test_a_delimiter_is_given(read, delimiter, sign):
    content = f'id{sign}text{sign}label\n1{sign}"two{sign}words, ""x"""{sign}a,b\n2{sign}{sign}c\n'
    table = read("a.csv", content, delimiter=delimiter)
    assert table.columns == ("id", "text", "label")
    assert table.rows == [("1", f'two{sign}words, "x"', "a,b"), ("2", "", "c")]


def test_a_given_delimiter_goes_before_the_name_and_the_line_of_excel(columns, refused):
    assert columns("a.tsv", "sep=,\n" + separated(";"), delimiter=";") == ROWS
    assert "has no column 'text'" in refused("a.csv", CSV, delimiter=";").what


def test_two_signs_that_serve_as_well_are_a_question(refused, columns):
    content = "name;size, cm;text;label\nx;1,5;good film;1\ny;2,5;bad film;0\n"
    error = refused("a.csv", content)
    assert isinstance(error, OptionNeededError)
    assert error.option == "delimiter"
    assert list(error.choices.items()) == [
        ("semicolon", "name | size, cm | text | label"),
        ("comma", "name;size |  cm;text;label"),
    ]
    assert error.fix == "say which: --delimiter semicolon (in a recipe task.delimiter: semicolon)"
    assert columns("a.csv", content, delimiter="semicolon") == ROWS
    assert columns("a.tsv", "text\tlabel, sure\tlabel\ngood film\ta, b\t1\nbad film\tc, d\t0\n") == ROWS


@pytest.mark.parametrize("text", ["", "\n", '"', "a", "é", "1", ",,,,,", "tabs", "\\n"])
def test_what_is_no_delimiter_is_refused(refused, text):
    error = refused("a.csv", CSV, delimiter=text)
    assert "no delimiter is that; " in error.what
    assert "one to 4 signs in quotes, or comma, semicolon, tab" in error.what
    assert ("did you mean 'tab'?" in error.what) == (text == "tabs")
    with pytest.raises(ValueError, match="no delimiter is that"):
        Reading(delimiter=text)


def test_lines_above_the_header_are_told(refused):
    for content in ("Report 2024\n\ntext,label\na,1\n", "Report 2024,\n,\ntext,label\na,1\n"):
        error = refused("a.csv", content)
        assert error.what == "the header of 'a.csv' seems to stand in line 3: text, label"
        assert error.fix.startswith("remove what stands above it")


GERMAN = "text,label\nMüßig – “gut”,1\nschön,0\n"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be", "utf-8", "utf-16", "utf-7"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_an_encoding_is_given(columns, encoding, ending):
    content = GERMAN.encode(encoding)
    content = gzip.compress(content) if ending.endswith("gz") else content
    assert columns(f"a.{ending}", content, encoding=encoding) == [("Müßig – “gut”", "1"), ("schön", "0")]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1250", "mac_roman", "cp850"])
def test_an_encoding_is_given_for_json_and_orange_too(columns, encoding):
    lines = '{"text": "schön", "label": 0}\n'.encode(encoding)
    assert columns("a.jsonl", lines, encoding=encoding) == [("schön", "0")]
    assert columns("a.json", b"[" + lines + b"]", encoding=encoding) == [("schön", "0")]
    orange = "text\tlabel\ns\td\n\tclass\nschön\t0\n".encode(encoding)
    assert columns("a.tab", orange, encoding=encoding) == [("schön", "0")]


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_files_mark_goes_before_what_is_given(read, mark):
    table = read("a.csv", GERMAN.encode(mark), encoding="cp1252")
    assert table.rows[1] == ("schön", "0")
    assert table.notes == ()


def test_a_file_that_is_utf8_is_read_as_that_and_told(read):
    table = read("a.csv", GERMAN.encode(), encoding="cp1252")
    assert table.rows[0] == ("Müßig – “gut”", "1")
    assert table.notes == ("a.csv is UTF-8 text, and was read as that, not as cp1252",)
    assert read("b.csv", CSV, encoding="cp1252").notes == ()


def test_a_file_of_which_some_lines_are_utf8_is_read_as_asked_and_told(read):
    table = read("a.csv", "text,label\nschön,1\n".encode() + "schön,0\n".encode("cp1252"), encoding="cp1252")
    assert table.rows == [("schÃ¶n", "1"), ("schön", "0")]
    assert table.notes == ("lines of a.csv (1) seem to be UTF-8, and were read as cp1252, as was asked",)


@pytest.mark.parametrize("name", ["cp1553", "hex", "", "rot13", "utf8\0"])
def test_what_is_no_encoding_is_refused(refused, name):
    error = refused("a.csv", CSV, encoding=name)
    assert "no such encoding is known" in error.what
    assert "cp1252" in error.what


def test_a_file_that_is_not_in_the_given_encoding_is_told(refused):
    error = refused("a.csv", "text,label\nŤ,1\n".encode("cp1250"), encoding="cp1252")
    assert error.what == "'a.csv' is not cp1252 text"
    assert refused("a.csv", GERMAN.encode("utf-16-le"), encoding="latin-1").what == (
        "'a.csv' holds NUL characters when it is read as latin-1"
    )


@pytest.mark.parametrize(
    ("text", "encoding", "proposed"),
    [
        ("text,label\nschön,1\nein “Zitat”,0\n", "cp1252", ["cp1252"]),
        ("text,label\nschön,1\nÇa va,0\n", "latin-1", ["latin-1"]),
        ("text,label\nKoźlę źle śpi,1\n", "cp1250", ["cp1252", "cp1250"]),
        ("text,label\nJeť Ťuk,1\n", "cp1250", ["cp1250"]),
        ("text,label\nfünf\u2592,1\n", "cp850", ["cp850"]),
        ("text,label\nХороший фильм,1\nПлохой фильм,0\n", "cp1251", ["cp1251"]),
        ("text,label\nこの映画はとても良い,1\n悪い映画,0\n", "cp932", ["cp932"]),
        ("text,label\n好电影，我喜欢,1\n这部电影很差,0\n", "gb18030", ["gb18030"]),
        ("text,label\n좋은 영화,1\n나쁜 영화였다,0\n", "cp949", ["cp949"]),
        ("text,label\n這部電影很差,1\n好電影,0\n", "big5", ["big5"]),
        ("text,label\nκαλή ταινία,1\nκακή ταινία,0\n", "cp1253", ["cp1253"]),
        (GERMAN, "utf-16-le", ["utf-16-le"]),
        ("текст,label\n好电影,1\n", "utf-16-be", ["utf-16-be"]),
        ("text\nabc\n", "utf-16-le", ["utf-16-le"]),
    ],
)
def test_an_encoding_that_reads_the_file_is_proposed_with_its_line(read, refused, text, encoding, proposed):
    error = refused("a.csv", text.encode(encoding))
    assert isinstance(error, OptionNeededError)
    assert error.option == "encoding"
    assert [name for name in error.choices if name in proposed] == proposed
    if encoding in error.choices:
        shown = error.choices[encoding]
        assert shown in text
        assert f"--encoding {next(iter(error.choices))}" in error.fix
        assert f"'{shown}'" in error.what
        assert read("a.csv", text.encode(encoding), encoding=encoding).rows


@pytest.fixture
def files(tmp_path):
    (tmp_path / "train.csv").write_bytes("Text;Label\nschön;1\nübel;0\n".encode("cp1252") * 1)
    (tmp_path / "test.csv").write_bytes("Text;Label\nmüßig;1\nöde;0\n".encode())
    (tmp_path / "more.csv").write_bytes("Text;other\nspät;1\n".encode("utf-16"))
    return tmp_path


def test_a_recipe_says_how_its_files_are_read(files):
    spec = TaskSpec(
        train="train.csv",
        test="test.csv",
        unlabelled="more.csv",
        encoding="cp1252",
        delimiter="semicolon",
        columns={"text": "Text", "label": "Label"},
    )
    task = load_task(spec, Sources(files).table, 0, Origin())
    assert sorted(row.text for row in (*task.train, *task.validation)) == ["schön", "übel"]
    assert [row.text for row in task.test] == ["müßig", "öde"]
    assert [row.text for row in task.unlabelled] == ["spät"]
    assert task.notes[0] == "test.csv is UTF-8 text, and was read as that, not as cp1252"


def test_what_says_nothing_of_reading_is_written_as_before():
    assert not {"encoding", "delimiter", "sheet"} & set(TaskSpec(train="a.csv").model_dump())
    assert TaskSpec(train="a.csv", delimiter=";").model_dump()["delimiter"] == ";"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"encoding": "cp125"}, "'encoding' is 'cp125': no such encoding is known; did you mean 'cp1252'?"),
        ({"delimiter": "ab"}, "'delimiter' is 'ab': no delimiter is that"),
        ({"delimiter": None}, "'delimiter' is empty: write tilde, pipe or a sign in quotes: YAML reads ~ and |"),
        ({"delimiter": ""}, "'delimiter' is '': write tilde, pipe or a sign in quotes"),
        ({"sheet": 2024}, "'sheet' is 2024: text is needed"),
    ],
)
def test_a_recipe_with_a_wrong_way_to_read_is_refused(wrong, what):
    with pytest.raises(InputError) as caught:
        validate(TaskSpec, {"train": "a.csv", **wrong}, Origin())
    assert what in caught.value.what


def test_options_that_are_wrong_name_themselves():
    for option in ("encoding", "delimiter"):
        with pytest.raises(InputError) as caught:
            reading_of(**{"encoding": None, "delimiter": None, "sheet": None, option: "xyz"})
        assert caught.value.where == f"--{option}"
    assert reading_of("cp1252", "\\t", "S").sign == "\t"


@pytest.mark.parametrize("option", ["sheet", "delimiter"])
def test_an_option_is_shown_so_that_it_can_be_typed(option):
    assert option_text(option, "a b") == f"--{option} 'a b' (in a recipe task.{option}: 'a b')"
    assert delimiter_sign("semicolon") == ";"
