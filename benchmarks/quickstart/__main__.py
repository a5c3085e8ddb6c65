"""Run the quickstart as a user would, and write what it cost and gave to `results/` and into the README."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.quickstart.table import report_of, write_table
from compress.machine.facts import host_facts
from compress.report.html import render_html

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECIPE = ROOT / "recipes" / "quickstart.yaml"
COMPRESS = [sys.executable, "-m", "compress"]
SAMPLE_SECONDS = 0.25
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True)
class Finished:
    """A command that ended.

    Attributes:
        peak_rss_bytes: largest sum of the resident memory of the command and all its children, as sampled;
            pages that they share are counted once for each.
    """

    code: int
    seconds: float
    peak_rss_bytes: int
    output: str


def run(command: Sequence[str]) -> Finished:
    """Run a command to its end, watching its memory."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, _tree_rss_bytes(process.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    return Finished(process.returncode, seconds, peak, output)


def _tree_rss_bytes(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it ended between two looks
    return total


def main() -> None:
    """Measure, print the figures, write raw results, the summary, and the README's table and picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quickstart", description=__doc__)
    parser.add_argument(
        "--table", action="store_true", help="measure nothing: write the table and the picture of the results"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy the folder of runs there")
    asked = parser.parse_args()
    if not asked.table:
        measure(asked.keep)
    write_table(ROOT / "README.md", HERE / "results")
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"
        raw = json.loads((HERE / "results" / "quickstart.json").read_text(encoding="utf-8"))
        page.write_text(render_html(report_of(raw)), encoding="utf-8")
        take_picture(page, HERE / "results" / "report.png")


def measure(keep: Path | None) -> None:
    """Run everything, write down what it gave, and keep the folder of runs if asked."""
    plan = run([*COMPRESS, "plan", str(RECIPE)])  # takes the wheels into the cache
    if plan.code != 0:
        sys.exit("the plan failed; run `compress plan recipes/quickstart.yaml` to see why")
    with tempfile.TemporaryDirectory() as runs:
        first = run([*COMPRESS, "run", str(RECIPE), "--runs-dir", runs])
        if first.code not in (0, 3):
            sys.exit(f"the run failed with exit code {first.code}")
        cached = [run([*COMPRESS, "run", str(RECIPE), "--runs-dir", runs]) for _ in range(5)]
        assert all("nothing to do" in again.output for again in cached)
        report = json.loads((Path(runs) / "quickstart" / "report.json").read_text())
        if keep is not None:
            shutil.copytree(runs, keep, symlinks=True)
    helped = [_seconds([str(Path(sys.executable).with_name("compress")), "--help"]) for _ in range(20)]
    tests = run([sys.executable, "-m", "pytest"])
    if tests.code != 0:
        sys.exit("the tests failed")
    rows = {row["step"]: row for row in report["rows"]}
    teacher, final = rows["teacher"], report["rows"][-1]
    summary = {
        "wall_s": round(first.seconds, 1),
        "peak_rss_mb": round(first.peak_rss_bytes / 1e6),
        "teacher_accuracy": round(teacher["quality"]["value"], 5),
        "final_drop_pp": round(final["versus_baseline"]["drop_pp"]["value"], 3),
        "final_speedup": round(final["versus_baseline"]["speedup"]["value"], 2),
        "size_ratio": round(teacher["size_bytes"] / final["size_bytes"], 2),
        "cached_run_s": round(median(again.seconds for again in cached), 2),
        "help_s": round(median(helped), 3),
        "tests_s": round(tests.seconds, 1),
    }
    raw: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": {**host_facts(), "load_before": os.getloadavg()},
        "command": "compress run recipes/quickstart.yaml",
        "exit_code": first.code,
        "cached_run_samples_s": [again.seconds for again in cached],
        "help_samples_s": helped,
        "tests_last_line": tests.output.strip().splitlines()[-1],
        "report": report,
    }
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "quickstart.json").write_text(json.dumps(raw, indent=1) + "\n")
    (results / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))


def take_picture(page: Path, picture: Path) -> None:
    """The upper part of the report's page, as a person sees it."""
    from playwright.sync_api import sync_playwright

    browser_path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if browser_path is None:
        print("no Chromium is installed: the report's picture stays as it is", file=sys.stderr)
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1180, "height": 1780}, color_scheme="light")
        tab.goto(page.as_uri())
        tab.wait_for_load_state("load")
        tab.screenshot(path=str(picture))
        browser.close()


def _seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
