"""The page in a real browser, without a network: what people see of it on a desktop and on a phone."""

import base64
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, ViewportSize, sync_playwright

from compress.report.html import render_html
from compress.report.model import Report
from tests.report.reports import rounding_facts, rounding_report, sample_report
from tests.report.test_html import HOSTILE
from tests.waiting import until as waited_for

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
ARGUMENTS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
CHARTS = 7
CONTRAST = """(selectors) => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return (numbers(colour)[3] ?? 1) === 1 ? colour : behind(element.parentElement);
  };
  return selectors.map((selector) => {
    const element = document.querySelector(selector);
    const both = [light(getComputedStyle(element).color), light(behind(element))];
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  });
}"""
"""WCAG's contrast of each selector's first element with what is behind it."""
COLOURS = """async (png) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  return new Set(pixels).size;
}"""
PAPER = "getComputedStyle(document.querySelector('.main-svg')).backgroundColor"
WIDEST = "Math.max(...[...document.querySelectorAll('.main-svg')].map((svg) => svg.clientWidth))"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chrome is installed"),
]
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def wrong() -> list[str]:
    """What the pages complained of, and requests to anywhere else."""
    return []


@pytest.fixture(scope="module")
def open_page(browser: Browser, wrong: list[str], tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Opens a report's page without a network; the same page for the same size and scheme."""
    folder = tmp_path_factory.mktemp("pages")
    opened: dict[str, Page] = {}

    def ask(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(request.url)

    def open_(
        size: ViewportSize = DESKTOP, scheme: str = "light", name: str = "", report: Report | None = None
    ) -> Page:
        path = folder / f"{name}.html"
        key = f"{size['width']} {scheme} {name}"
        if not path.exists():
            path.write_text(render_html(report or sample_report()), encoding="utf-8")
        if key not in opened:
            context = browser.new_context(viewport=size, color_scheme=scheme)
            context.set_offline(True)
            page = opened[key] = context.new_page()
            page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("dialog", lambda dialog: wrong.append(dialog.message))
            page.on("request", ask)
            page.goto(path.as_uri())
        return opened[key]

    return open_


@pytest.fixture(autouse=True)
def _nothing_goes_wrong(wrong: list[str]) -> Iterator[None]:
    yield
    assert wrong == []


def until(page: Page, expression: str, *, is_value: object = True) -> None:
    """Wait for a value; the page's own policy forbids what `wait_for_function` does."""

    def came() -> bool:
        page.wait_for_timeout(20)
        return bool(page.evaluate(expression) == is_value)

    waited_for(came, f"{expression} that comes to {is_value}")


def styled(page: Page, selector: str, name: str) -> str:
    return page.eval_on_selector(selector, f"(element) => getComputedStyle(element).{name}")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_chart_is_drawn_within_its_frame(open_page: Open, size):
    page = open_page(size)
    boxes = page.eval_on_selector_all(
        "[data-figure]",
        """(charts) => charts.map((chart) => ({
             svgs: chart.querySelectorAll(".main-svg").length,
             marks: chart.querySelectorAll(".trace path").length,
             frame: chart.getBoundingClientRect().toJSON(),
             labels: [...chart.querySelectorAll("text")].filter((text) => text.textContent)
               .map((text) => text.getBoundingClientRect().toJSON()),
           }))""",
    )
    assert len(boxes) == CHARTS
    for found in boxes:
        assert found["svgs"] >= 1
        assert found["marks"] > 0
        assert len(found["labels"]) >= 8
        frame = found["frame"]
        for label in found["labels"]:
            assert frame["left"] - 1 <= label["left"] <= label["right"] <= frame["right"] + 1
            assert frame["top"] - 1 <= label["top"] <= label["bottom"] <= frame["bottom"] + 1


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_names_beside_the_points_cover_nothing(open_page: Open, size):
    page = open_page(size)
    overlaps = page.eval_on_selector(
        "[data-figure$=tradeoff]",
        """(chart) => {
          const boxes = [...chart.querySelectorAll(".textpoint, .point")].map((e) => e.getBoundingClientRect());
          if (boxes.length !== 8) return "not four points with four names";
          return boxes.flatMap((one, i) => boxes.slice(i + 1).filter((other) =>
            Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
            Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1)).length;
        }""",
    )
    assert overlaps == 0


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_verdict_is_above_the_fold(open_page: Open, size):
    page = open_page(size)
    assert "Goal met, in doubt" in page.inner_text("#verdict")
    box = page.locator("#verdict").bounding_box()
    assert box is not None
    assert 0 < box["y"] < box["y"] + box["height"] < 400


def test_dark_and_light_differ_and_the_charts_follow(open_page: Open):
    found = {}
    for scheme in ("light", "dark"):
        page = open_page(scheme=scheme)
        found[scheme] = [
            styled(page, "body", "backgroundColor"),
            styled(page, ".main-svg", "backgroundColor"),
            styled(page, ".xtick text", "fill"),
            styled(page, ".gridlayer path", "stroke"),
        ]
        assert found[scheme][1] == styled(page, "figure", "backgroundColor")
    assert all(light != dark for light, dark in zip(found["light"], found["dark"], strict=True))
    page = open_page()
    page.emulate_media(color_scheme="dark")
    until(page, PAPER, is_value=found["dark"][1])
    page.emulate_media(color_scheme="light")
    until(page, PAPER, is_value=found["light"][1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(open_page: Open, scheme):
    page = open_page(scheme=scheme)
    texts = [
        "#verdict",
        ".asked",
        ".headline",
        ".lead",
        ".notes li",
        "td",
        "td small",
        ".tone-good",
        ".tone-unsure",
        ".badge",
    ]
    texts += [
        "thead th",
        "figcaption",
        "a",
        "dd",
        "dt",
        "summary",
        "pre",
        "button",
        "footer",
        "tr.last td small",
        ".said span",
    ]
    for text, contrast in zip(texts, page.evaluate(CONTRAST, texts), strict=True):
        assert contrast >= 4.5, text


def test_a_phone_scrolls_tables_and_not_the_page(open_page: Open):
    page = open_page(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert float(styled(page, "body", "fontSize").removesuffix("px")) >= 14
    first, last = page.locator("tbody tr:nth-child(2) > *").first, page.locator("tbody tr:nth-child(2) > td").nth(8)
    assert last.bounding_box()["x"] > PHONE["width"]
    before = first.bounding_box()
    page.eval_on_selector(".scroll", "(table) => (table.scrollLeft = 1000)")
    assert first.bounding_box() == before, "the first column stays"
    assert last.bounding_box()["x"] < PHONE["width"]
    page.eval_on_selector(".scroll", "(table) => (table.scrollLeft = 0)")


def test_a_window_made_narrow_keeps_its_charts_whole(open_page: Open):
    page = open_page()
    page.set_viewport_size(PHONE)
    until(page, f"{WIDEST} < 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(DESKTOP)
    until(page, f"{WIDEST} > 1000")


def test_print_is_light_and_fits_the_paper(open_page: Open, tmp_path: Path):
    page = open_page(scheme="dark")
    paper = page.evaluate(PAPER)
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = [{PAPER}, {WIDEST} <= 700]; }})")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert page.evaluate("window.printed") == ["rgb(255, 255, 255)", True]
    until(page, PAPER, is_value=paper)


def test_the_copy_button_says_that_it_copied(open_page: Open):
    page = open_page()
    page.click("[data-copy=command]")
    until(page, "document.querySelector('[data-copy=command]').textContent", is_value="Copied")


def test_hostile_texts_do_nothing(open_page: Open):
    report = sample_report(labels=[HOSTILE, *"bcdefgh"], texts=[HOSTILE] * 200)
    for row in report.rows:
        row.step = f"{row.step}{HOSTILE}"
    page = open_page(name="hostile", report=report)
    assert page.locator("img").count() == 0
    assert "teacher</scri" in page.text_content("[data-figure$=sizes]")


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_screenshots_are_not_blank(open_page: Open, browser: Browser, tmp_path: Path, size, scheme):
    page = open_page(size, scheme)
    path = tmp_path / f"{scheme}-{size['width']}.png"
    page.locator("[data-figure$=tradeoff]").scroll_into_view_if_needed()
    picture = page.screenshot(path=path)
    assert path.stat().st_size > 10_000
    blank = browser.new_page()
    assert blank.evaluate(COLOURS, base64.b64encode(picture).decode()) > 100
    blank.close()


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_the_layers_of_a_deep_model_stay_within_the_page(open_page: Open, size, scheme):
    report = rounding_report(rounding_facts(encoder_layers=36, kept=range(0, 90, 9)))
    page = open_page(size, scheme, name="deep", report=report)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    found = page.eval_on_selector(
        "[data-figure=layers-1-divergence]",
        """(chart) => ({
             bars: chart.querySelectorAll(".trace .point path").length,
             frame: chart.getBoundingClientRect().toJSON(),
             names: [...chart.querySelectorAll(".ytick text")].map((text) => text.getBoundingClientRect().toJSON()),
           })""",
    )
    assert found["bars"] == 149
    names = sorted((name for name in found["names"] if name["left"] < size["width"] / 2), key=lambda name: name["top"])
    assert len(names) == 149
    assert min(name["left"] for name in names) >= found["frame"]["left"] - 1
    assert all(below["top"] - above["top"] > 12 for above, below in pairwise(names))
    page.click("#layers details.tall summary")
    table = page.locator("#layers .tall .scroll")
    assert 200 < table.bounding_box()["height"] < 600
    assert table.locator("tbody tr").count() == 149
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
