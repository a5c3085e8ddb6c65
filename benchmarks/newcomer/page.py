"""How large the report's page is, how many sheets of paper it takes, and whether it fits a desktop and a phone."""

import re
import shutil
from pathlib import Path
from typing import Any

from benchmarks.newcomer.workplace import Workplace
from compress.report.files import read_report
from compress.report.html import render_html

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = (1280, 390)
"""Of a desktop's window and a phone's, in CSS pixels."""
PAGE_OBJECT = re.compile(rb"/Type\s*/Page[^s]")
BEYOND = """(width) => [...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width && box.right > width + 1 && !element.closest(".scroll");
}).length"""
"""Elements that reach past the window and do not lie in a table that scrolls."""


def measure(place: Workplace) -> dict[str, Any]:
    """Draw the run's page anew, and look at it in a browser without a network."""
    from playwright.sync_api import sync_playwright

    report = read_report(place.run / "report.json")
    if report is None:
        raise SystemExit(f"{place.run} holds no report of this version")
    path = place.new_folder("page") / "report.html"
    path.write_text(render_html(report), encoding="utf-8")
    browser_path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        windows = [_look(browser, path, width) for width in WIDTHS]
        sheets = _print(browser, path)
        version = browser.version
        browser.close()
    return {
        "browser": version,
        "bytes": path.stat().st_size,
        "sheets": sheets,
        "windows": windows,
        "rows": len(report.rows),
        "targets": len(report.targets),
    }


def _look(browser: Any, path: Path, width: int) -> dict[str, Any]:
    """What reaches past a window, what the page complains of, and what it asks the network for."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.set_offline(True)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    found = {
        "width": width,
        "page_width": page.evaluate("document.documentElement.scrollWidth"),
        "elements_beyond": page.evaluate(BEYOND, width),
        "tables_that_scroll": page.eval_on_selector_all(
            ".scroll", "(all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
        ),
        "complaints": complaints,
        "requests": [url for url in requests if not url.startswith(("file:", "data:"))],
    }
    context.close()
    return found


def _print(browser: Any, path: Path) -> int:
    """Sheets of A4, upright, with the page's own margins."""
    page = browser.new_page()
    page.goto(path.as_uri())
    sheets = len(PAGE_OBJECT.findall(page.pdf(format="A4", prefer_css_page_size=True)))
    page.close()
    return sheets


def figures(record: dict[str, Any]) -> dict[str, float]:
    """`page_mb`, `page_print_pages`, and how many things reach past a window or fail in it."""
    windows = record["windows"]
    return {
        "page_mb": round(record["bytes"] / 1e6, 3),
        "page_print_pages": record["sheets"],
        "page_beyond_window": sum(found["elements_beyond"] for found in windows),
        "page_complaints": sum(len(found["complaints"]) + len(found["requests"]) for found in windows),
        "page_desktop_tables_cut": windows[0]["tables_that_scroll"],
    }
