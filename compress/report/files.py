"""The report's files: `report.json` is the truth, `report.md` and `report.html` show it."""

from pathlib import Path

from compress.files.strict_json import read_json
from compress.files.whole import write_text
from compress.report.model import Report

FILES = ("report.json", "report.md", "report.html")


def write_report(report: Report, folder: Path) -> None:
    """Write all files of a report."""
    from compress.report.html import render_html
    from compress.report.markdown import render_markdown

    write_text(folder / "report.json", report.model_dump_json(indent=1))
    write_text(folder / "report.md", render_markdown(report))
    write_text(folder / "report.html", render_html(report))


def read_report(path: Path, key: str | None = None) -> Report | None:
    """The report in a report.json; None if it cannot be read, or has another key."""
    try:
        content = read_json(path)
        if key is not None and content.get("key") != key:
            return None
        return Report.model_validate(content)
    except (OSError, ValueError, AttributeError):
        return None
