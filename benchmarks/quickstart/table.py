"""The README's table of the quickstart, out of its results."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.report.build import end_to_end
from compress.report.model import Report
from compress.report.shown import shown_rows
from compress.report.words import POINTS, bracketed

BEGIN, END = "<!-- quickstart -->\n", "<!-- /quickstart -->"


def write_table(readme: Path, results: Path) -> None:
    """Put the table between its marks."""
    raw = json.loads((results / "quickstart.json").read_text(encoding="utf-8"))
    summary = json.loads((results / "summary.json").read_text(encoding="utf-8"))
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}{table(raw, summary)}{END}{after}", encoding="utf-8")


def report_of(raw: Mapping[str, Any]) -> Report:
    """The report in the results, with end to end worked out of its samples by the code at hand."""
    report = Report.model_validate(raw["report"])
    by_step = {row.step: row for row in report.rows}
    for row in report.rows:
        for found in filter(None, (row.versus_baseline, row.bought)):
            found.end_to_end = end_to_end(by_step[found.against], row)
    return report


def table(raw: Mapping[str, Any], summary: Mapping[str, float]) -> str:
    """Each artifact in a line, and below them what the whole run took."""
    report = report_of(raw)
    (target,) = report.targets
    rows = shown_rows(report, target)
    base = next(row for row in rows if row.is_baseline)
    lines = [
        "| step | accuracy | change [95%] | | size MB | smaller | p50 ms | p90 ms | times faster [95%] | end to end |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        found = row.versus_baseline
        assert row.quality is not None
        assert row.latency_ms is not None
        cells = [
            f"{row.step} (baseline)" if row.is_baseline else row.step,
            f"{row.quality.value:.2%}",
            bracketed(found.change_pp, POINTS) if found else "",
            found.quality_verdict if found else "",
            f"{row.size_bytes / 1e6:.2f}",
            f"{base.size_bytes / row.size_bytes:.1f}x",
            f"{row.latency_ms.p50:.2f}",
            f"{row.latency_ms.p90:.2f}",
            bracketed(found.speedup, ".1f", "x") if found else "",
            bracketed(found.end_to_end, ".1f", "x") if found else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _told(report, summary), ""])


def _told(report: Report, summary: Mapping[str, float]) -> str:
    host = report.host
    return (
        f"{summary['wall_s'] / 60:.1f} minutes in all ({summary['wall_s']:.0f} s, measuring included; "
        f"{summary['peak_rss_mb'] / 1000:.1f} GB of memory at most) on {host['cpu']}, {host['cores']} cores\n"
        f"({', '.join(host['isa'])}), without a GPU. Run again, it takes {summary['cached_run_s']:.1f} s to say that "
        "nothing is left to do."
    )
