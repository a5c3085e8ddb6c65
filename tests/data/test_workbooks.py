import base64
import io
import zipfile
import zlib
from datetime import date, datetime, time, timedelta

import pytest

from compress.data.sources import Sources
from compress.data.workbook_process import cell_text
from compress.errors import InputError
from compress.recipe.reading import OptionNeededError, split_sheet
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import load_task
from tests.workbooks import ods, xlsx

ROWS = [["text", "label"], ["good film", 1.0], ["bad film", 0]]
WANTED = [("good film", "1"), ("bad film", "0")]
OLD_EXCEL = zlib.decompress(
    base64.b85decode(
        "c-rk)O=uHA6#izDZGLFeO-+SXD4}50S_JXprCk-YCrj0XB7$z3RZ7=HLJsOdt2IYK@T7Pt^x~!J#UJ#bHxFV(4}u^hdh{eHcxbb}c{@u}"
        "&7lEXROVaeo0m6lW?p9Aykz#xLb^Kpptpu!FoFo`egbU`Izc57ey~98zAweFj#Ke9{wXBlw2^Hlo_4&7$vu?&U4w!9(HF$PCn_g!4r9fFn"
        "_WljV;>wLeHbPdxI>y0df2Nj<_YEv%=g&x8S@_2TxT98+p0K@1$%68w~FFpMnAWuAjf^geLk>eC%W-cM)BnvBCs{Fw>0T^e`iBqv>kJxeH"
        "(QPZprbg$j}DP;k%y&zJ(|Cc~<M!S1&;NA1n2-Ci<I36qts8iUYht$@O(4*x)0J*a2z`OW8eNHUZDcxgMq9GsR*)dwSA4ODQ+!1Y%NVXFko"
        "=iqqV|QQl6RM<>f^j&+Oj_2S*HZx80i?USsT<_sR>`OVTb__!i_Q0El4uy<@b$h@8TDv!E}<zD6tMJUw+<K0R)FvB+2xOIT$*~NHgZ)uRXl"
        "3e+6=y6}=v%QVv`O(_N%=~+M7X7p|dFn5p84QUbar>6U6FaPh$_XEtdw$Cgal=x+`|8K66H7?4m}U+>$<-0cUNo^6Y%fQ=WF*<2G_SI>H=5"
        "WRY#&kf%d0<Pbm5^CC|fNf2@MSm4Gj$q4GoR8gi!zIBkHbUs#`-$z1LZyQrE9Z{#zVIk)ASLO!uQebqN<*il2=zML3pNWuNeUp~O*|y@V;`"
        "*pI1}<CkuIqVfBzx}){yj!>)f*IV&(jpzRf_dv$="
    )
)
"""The same rows as xlwt writes them."""
EMPTY_ROW = [None, None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xlsx", xlsx({"S": ROWS})),
        ("a.XLSM", xlsx({"S": ROWS})),
        ("a.xls", OLD_EXCEL),
        ("new.xls", xlsx({"S": ROWS})),
        ("a.ods", ods([[str(cell).removesuffix(".0") for cell in row] for row in ROWS])),
        ("blank.xlsx", xlsx({"S": [EMPTY_ROW, *ROWS[:2], EMPTY_ROW, ["", "  "], ROWS[2]]})),
        ("wide.xlsx", xlsx({"S": [[None, *row, None, "  "] for row in ROWS]})),
        ("notes.xlsx", xlsx({"Notes": [["about"], ["this file"]], "Empty": [], "S": ROWS})),
        ("hidden.xlsx", xlsx({"Lists": [["k", "v"], ["a", "b"]], "S": ROWS}, hidden=["Lists"])),
        ("only-hidden.xlsx", xlsx({"Title": [["Report"]], "S": ROWS}, hidden=["S"])),
    ],
)
def test_a_workbook_gives_the_rows_of_its_only_table(columns, name, content):
    assert [(text, label.strip()) for text, label in columns(name, content) if text] == WANTED


def test_a_sheet_is_chosen_by_its_name(columns, read, refused):
    content = xlsx({"train": ROWS, "2024": [["text", "label"], ["other", "x"]], "Empty": []})
    error = refused("a.xlsx", content)
    assert isinstance(error, OptionNeededError)
    assert error.what.startswith("'a.xlsx' has 2 sheets with rows: 'train' (3 lines of text, label); '2024' (2 lines")
    assert (
        error.fix
        == "say which: --sheet train (in a recipe task.sheet: train); or name the file as 'a.xlsx?sheet=train'"
    )
    assert (error.option, list(error.choices)) == ("sheet", ["train", "2024"])
    assert columns("a.xlsx", content, sheet="2024") == [("other", "x")]
    assert columns("a.xlsx", content, sheet="train") == WANTED
    wrong = refused("a.xlsx", content, sheet="Train")
    assert wrong.what == "'a.xlsx' has no sheet 'Train'"
    assert wrong.fix == "did you mean 'train'? accepted: 2024, Empty, train"
    assert refused("a.xlsx", content, sheet="Empty").what == "'a.xlsx' holds no rows"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.0", "1.0"),
        (1.0, "1"),
        (-3.0, "-3"),
        (2.0**53 - 1, "9007199254740991"),
        (0.1 + 0.2, "0.3"),
        (1e300, "1e+300"),
        (1.5, "1.5"),
        (7, "7"),
        (True, "TRUE"),
        (False, "FALSE"),
        (date(2020, 1, 2), "2020-01-02"),
        (datetime(2020, 1, 2, 3, 4, 5), "2020-01-02 03:04:05"),
        (time(3, 4), "03:04:00"),
        (timedelta(hours=30), "1 day, 6:00:00"),
        ("", ""),
        (" a\nb ", " a\nb "),
    ],
)
def test_a_cell_is_the_text_that_a_person_sees(value, text):
    assert cell_text(value) == text


def test_cells_come_through_the_process_as_they_are(read):
    row = ["שלם\u202b 😀 <&>\t\n", True, 0.5, datetime(2020, 1, 2), datetime(2020, 1, 2, 3, 4, 5)]
    table = read("a.xlsx", xlsx({"S": [["a", "b", "c", "d", "e"], row, ["x", None, None, None, 1e15]]}))
    assert table.rows == [
        (row[0], "TRUE", "0.5", "2020-01-02", "2020-01-02 03:04:05"),
        ("x", "", "", "", "1000000000000000"),
    ]


def test_a_title_above_the_header_is_told(refused):
    error = refused("a.xlsx", xlsx({"S": [["Report 2024", None], EMPTY_ROW, *ROWS]}))
    assert error.what == "the header of 'a.xlsx' seems to stand in line 3: text, label"
    assert error.where == "a.xlsx:3"


def test_merged_cells_are_told(read):
    merged = '<mergeCells count="2"><mergeCell ref="B2:B3"/><mergeCell ref="A1:B1"/></mergeCells>'
    table = read("a.xlsx", xlsx({"S": [*ROWS[:2], ["bad film", None]]}, inside=merged))
    assert table.rows == [("good film", "1"), ("bad film", "")]
    assert table.notes == ("a.xlsx has merged cells that span rows (1): their value is in the first row alone",)


def _zip(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def _encrypted():
    """As an encrypted workbook begins: old Excel's container with a stream of that name."""
    name = "EncryptedPackage".encode("utf-16-le")
    at = OLD_EXCEL.index("Workbook".encode("utf-16-le"))
    entry = name.ljust(64, b"\0") + (len(name) + 2).to_bytes(2, "little")
    return OLD_EXCEL[:at] + entry + OLD_EXCEL[at + len(entry) :]


FAR_CELL = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.xlsx", b"PK\x03\x04junk", "is not a whole workbook ("),
        ("a.xlsx", _zip(a="text,label\n"), "is not a whole workbook ("),
        ("a.xls", b"\xd0\xcf\x11\xe0" + bytes(600), "is not a whole workbook ("),
        ("a.xls", b"text\tlabel\ngood\t1\n", "is not a whole workbook ("),
        ("a.xls", b"<html><table>", "is an HTML page"),
        ("a.xlsx", _encrypted(), "is protected by a password"),
        ("a.xlsx", xlsx({"S": ROWS})[:-30], "is not a whole workbook ("),
        ("a.xlsx", xlsx({"S": []}), "holds no rows"),
        ("a.xlsx", xlsx({"S": [["text", "label"]]}), "holds no rows"),
        ("a.xlsx", xlsx({"S": ROWS}, rows=FAR_CELL), "was read in a process of its own, which did not bear it ("),
    ],
)
def test_what_is_no_workbook_is_told(refused, name, content, what):
    assert f"'{name}' {what}" in refused(name, content).what


def test_a_workbook_that_unpacks_without_end_is_refused_before_it_is(refused, monkeypatch):
    monkeypatch.setattr("compress.data.workbooks.SMALL_BYTES", 2**18)
    content = xlsx({"S": [["text", "label"], ["a" * 3_000_000, 1]]})
    assert len(content) < 10_000
    assert refused("a.xlsx", content).what == "'a.xlsx' unpacks to more than 200 times its size"


def test_more_cells_than_memory_holds_are_refused(refused, monkeypatch):
    monkeypatch.setattr("compress.data.tables.MAX_CELLS", 5)
    assert refused("a.xlsx", xlsx({"S": ROWS})).what == ("'a.xlsx' has 3 rows of 2 columns; at most 5 values are read")


def test_a_source_names_its_sheet(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(
        xlsx({"Train": ROWS, "My test?": [["text", "label"], ["other", "1"], ["x", "0"]]})
    )
    sources = Sources(tmp_path)
    spec = TaskSpec(train="a.xlsx?sheet=Train", test="a.xlsx?sheet=My test?")
    task = load_task(spec, sources.table, 0, Origin())
    assert sorted(row.text for row in (*task.train, *task.validation)) == ["bad film", "good film"]
    assert [row.text for row in task.test] == ["other", "x"]
    pinned = [used.pinned for used in sources.used.values()]
    assert pinned == [f"{tmp_path / 'a.xlsx'}?sheet={name}" for name in ("Train", "My test?")]
    assert {name for used in sources.used.values() for name in used.files} == {"a.xlsx"}
    with pytest.raises(InputError, match=r"the data file 'b\.xlsx' does not exist"):
        sources.table("b.xlsx?sheet=Train")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("a.xlsx?sheet=S", ("a.xlsx", "S")),
        ("x/y.ODS?sheet=a?sheet=b", ("x/y.ODS", "a?sheet=b")),
        ("a.csv?sheet=S", ("a.csv?sheet=S", None)),
        ("a.xlsx", ("a.xlsx", None)),
        ("a.xlsx?sheet=", ("a.xlsx?sheet=", None)),
        ("hf://a/b?split=train", ("hf://a/b?split=train", None)),
    ],
)
def test_a_sheet_is_split_from_its_workbook(source, parts):
    assert split_sheet(source) == parts
