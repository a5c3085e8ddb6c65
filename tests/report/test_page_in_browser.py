"""The page in a real browser, without a network: what people see of it on a desktop and on a phone."""

import base64
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, ViewportSize, sync_playwright

from compress.report.html import render_html
from compress.report.model import Report
from tests.report.reports import rounding_facts, rounding_report, sample_report
from tests.report.searches import searched_report
from tests.report.test_html import HOSTILE
from tests.waiting import until as waited_for

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
ARGUMENTS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
CHARTS = 7
CONTRAST = """(selectors) => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map((n) => n * (colour.startsWith("color(srgb") ? 255 : 1));
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
PAGE_OBJECT = re.compile(rb"/Type\s*/Page[^s]")

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
def blank(browser: Browser) -> Page:
    """A page with nothing in it, where scripts may do anything."""
    return browser.new_page()


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
             marks: chart.querySelectorAll("rect, circle").length,
             frame: chart.closest("figure").getBoundingClientRect().toJSON(),
             plots: [...chart.querySelectorAll(".plot")].map((plot) => plot.clientWidth),
             labels: [...chart.querySelectorAll("text, .who, .note, .ticks span, .axis")]
               .map((text) => text.getBoundingClientRect()).filter((box) => box.width).map((box) => box.toJSON()),
           }))""",
    )
    assert len(boxes) == CHARTS
    for found in boxes:
        assert found["marks"] > 3
        assert min(found["plots"]) >= 60
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
          const boxes = [...chart.querySelectorAll("text, .point")].map((e) => e.getBoundingClientRect())
            .filter((box) => box.width);
          if (boxes.length !== 8) return "not four points with four names";
          return boxes.flatMap((one, i) => boxes.slice(i + 1).filter((other) =>
            Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
            Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1)).length;
        }""",
    )
    assert overlaps == 0


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_names_in_the_pictures_of_a_search_cover_nothing(open_page: Open, size):
    page = open_page(size, name="search", report=searched_report())
    found = page.eval_on_selector_all(
        "[data-figure^=search-]",
        """(charts) => charts.map((chart) => {
          const boxes = (kind) => [...chart.querySelectorAll(`.plane .plot ${kind}`)]
            .map((element) => element.getBoundingClientRect()).filter((box) => box.width);
          const names = boxes("text"), all = [...names, ...boxes("circle")];
          return { names: names.length, overlaps: names.flatMap((one, i) => all.slice(i + 1).filter((other) =>
            Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
            Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1)).length };
        })""",
    )
    assert len(found) == 3
    assert all(chart["names"] >= 5 for chart in found)
    assert [chart["overlaps"] for chart in found] == [0, 0, 0]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


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
            styled(page, "figure", "backgroundColor"),
            styled(page, ".fill-accent", "fill"),
            styled(page, ".ticks", "color"),
            styled(page, ".rule", "stroke"),
        ]
    assert all(light != dark for light, dark in zip(found["light"], found["dark"], strict=True))


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
        ".note small",
        ".ticks span",
        ".hit",
        ".miss[style]",
    ]
    for text, contrast in zip(texts, page.evaluate(CONTRAST, texts), strict=True):
        assert contrast >= 4.5, text


def test_a_desktop_shows_every_table_whole(open_page: Open):
    page = open_page()
    wide = page.eval_on_selector_all(".scroll", "(all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).length")
    assert (wide, page.locator(".more:visible").count()) == (0, 0)


def test_a_phone_scrolls_tables_says_so_and_shows_how_much_faster_first(open_page: Open):
    page = open_page(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert float(styled(page, "body", "fontSize").removesuffix("px")) >= 14
    assert "scroll it sideways" in page.locator(".more:visible").first.inner_text()
    line = page.locator("tbody tr:nth-child(2)").first
    first, faster, last = line.locator("th"), line.locator("td").first, line.locator("td").last
    assert page.locator("thead th").nth(1).inner_text() == "times faster"
    assert faster.bounding_box()["x"] + faster.bounding_box()["width"] < PHONE["width"]
    assert last.bounding_box()["x"] > PHONE["width"]
    before = first.bounding_box()
    page.eval_on_selector(".scroll", "(table) => (table.scrollLeft = 1000)")
    assert first.bounding_box() == before, "the first column stays"
    assert last.bounding_box()["x"] < PHONE["width"]
    page.eval_on_selector(".scroll", "(table) => (table.scrollLeft = 0)")


def test_on_a_phone_lineage_stacks(open_page: Open):
    boxes = [cell.bounding_box() for cell in open_page(PHONE).locator(".stacks tbody tr").first.locator("td").all()]
    assert len(boxes) == 4
    assert all(below["y"] >= above["y"] + above["height"] - 1 for above, below in pairwise(boxes))
    assert all(box["x"] + box["width"] <= PHONE["width"] for box in boxes)


def test_a_window_made_narrow_keeps_its_charts_whole(open_page: Open):
    page = open_page()
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    until(page, "document.querySelectorAll('.more:not([hidden])').length > 0")
    page.set_viewport_size(DESKTOP)
    until(page, "document.querySelectorAll('.more:not([hidden])').length", is_value=0)
    assert page.locator("[data-figure$=tradeoff] .plot").bounding_box()["width"] > 900


def test_print_is_light_fits_five_pages_and_leaves_what_is_folded(open_page: Open, tmp_path: Path):
    page = open_page(scheme="dark")
    path = tmp_path / "report.pdf"
    page.pdf(path=path, prefer_css_page_size=True)
    assert 1 <= len(PAGE_OBJECT.findall(path.read_bytes())) <= 5
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 695, "height": 1000})  # A4 between the page's margins
    assert styled(page, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".flips:visible, nav:visible, button:visible").count() == 0
    assert page.locator("summary:visible").count() > 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 695
    right = page.eval_on_selector_all(
        "table, .chart", "(all) => Math.max(...all.map((e) => e.getBoundingClientRect().right))"
    )
    assert right <= 695
    page.emulate_media(media="screen")
    page.set_viewport_size(DESKTOP)


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
def test_screenshots_are_not_blank(open_page: Open, blank: Page, tmp_path: Path, size, scheme):
    page = open_page(size, scheme)
    path = tmp_path / f"{scheme}-{size['width']}.png"
    page.locator("[data-figure$=tradeoff]").scroll_into_view_if_needed()
    picture = page.screenshot(path=path)
    assert path.stat().st_size > 10_000
    assert blank.evaluate(COLOURS, base64.b64encode(picture).decode()) > 100


@pytest.fixture(scope="module")
def deep(open_page: Open) -> Page:
    """The page of a model of 36 layers, of which some stay in float."""
    report = rounding_report(rounding_facts(encoder_layers=36, kept=range(0, 90, 9)))
    return open_page(scheme="dark", name="deep", report=report)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_layers_of_a_deep_model_stay_within_the_page(deep: Page, size):
    page = deep
    page.set_viewport_size(size)
    drawn = "Math.max(...[...document.querySelectorAll('figure .plot')].map((plot) => plot.clientWidth))"
    until(page, f"{drawn} < {size['width']}")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    found = page.eval_on_selector(
        "[data-figure=layers-1-divergence]",
        """(chart) => ({
             bars: chart.querySelectorAll(".rows rect").length,
             frame: chart.closest("figure").getBoundingClientRect().toJSON(),
             names: [...chart.querySelectorAll(".who")].map((text) => text.getBoundingClientRect().toJSON()),
           })""",
    )
    assert found["bars"] == len(found["names"]) == 149
    for name, below in pairwise(found["names"]):
        assert name["bottom"] <= below["top"] + 2
        assert name["left"] >= found["frame"]["left"]
    page.eval_on_selector("#layers details.tall", "(table) => (table.open = false)")
    page.click("#layers details.tall summary")
    table = page.locator("#layers .tall .scroll")
    assert 200 < table.bounding_box()["height"] < 600
    assert table.locator("tbody tr").count() == 149
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
