"""Workbooks of a few bytes, as Excel and LibreOffice pack them."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><cellXfs count="2"><xf numFmtId="0"/>'
    '<xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>'
)
_NS = "urn:oasis:names:tc:opendocument:xmlns"


def xlsx(
    sheets: Mapping[str, Sequence[Sequence[object]]], *, hidden: Sequence[str] = (), inside: str = "", rows: str = ""
) -> bytes:
    """A workbook with these sheets.

    Args:
        sheets: name -> rows; a cell of None is left out.
        hidden: names of sheets.
        inside: XML behind each sheet's rows.
        rows: XML in front of their end.
    """
    listed = links = ""
    parts = {}
    for number, (name, cells) in enumerate(sheets.items(), start=1):
        state = ' state="hidden"' if name in hidden else ""
        listed += f'<sheet name={quoteattr(name)} sheetId="{number}"{state} r:id="rId{number}"/>'
        links += f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        body = "".join(f'<row r="{at}">{_row(row, at)}</row>' for at, row in enumerate(cells, start=1))
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{_MAIN}"><sheetData>{body}{rows}</sheetData>{inside}</worksheet>'
        )
    links += f'<Relationship Id="rId0" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    root = f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    return _zip(
        {
            "[Content_Types].xml": _TYPES,
            "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}">{root}</Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}">{links}</Relationships>',
            "xl/styles.xml": _STYLES,
            **parts,
        }
    )


def ods(rows: Sequence[Sequence[str]], *, inside: str = "") -> bytes:
    """A workbook of LibreOffice with one sheet of texts, and more XML behind its rows."""
    body = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    content = (
        f'<office:document-content xmlns:office="{_NS}:office:1.0" xmlns:table="{_NS}:table:1.0" '
        f'xmlns:text="{_NS}:text:1.0"><office:body><office:spreadsheet><table:table table:name="S">{body}{inside}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = f'<manifest:manifest xmlns:manifest="{_NS}:manifest:1.0"/>'
    return _zip({"mimetype": kind, "META-INF/manifest.xml": manifest, "content.xml": content})


def _row(cells: Sequence[object], number: int) -> str:
    told = ""
    for place, cell in enumerate(cells):
        at = f'r="{chr(65 + place)}{number}"'
        if isinstance(cell, bool):
            told += f'<c {at} t="b"><v>{int(cell)}</v></c>'
        elif isinstance(cell, datetime):
            days = (cell - datetime(1899, 12, 30)).total_seconds() / 86400
            told += f'<c {at} s="1"><v>{days!r}</v></c>'
        elif isinstance(cell, int | float):
            told += f"<c {at}><v>{cell!r}</v></c>"
        elif cell is not None:
            text = f'<t xml:space="preserve">{escape(str(cell))}</t>'
            told += f'<c {at} t="inlineStr"><is>{text}</is></c>'
    return told


def _zip(parts: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return content.getvalue()
