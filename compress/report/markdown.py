"""The report as Markdown, for a pull request."""

from compress.report.model import Report, Row
from compress.report.words import (
    METRICS,
    describe_target,
    drop,
    headline,
    percent,
    reasons,
    times,
    verdict,
    warnings,
)

COLUMNS = (
    "step",
    "score (95% interval)",
    "drop, points",
    "quality",
    "size MB",
    "p50 ms",
    "p90 ms",
    "real texts p50 ms",
    "times faster",
    "speed",
)


def plain(text: str) -> str:
    """Text that means nothing to Markdown's tables nor to HTML; a folder's name may hold anything."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def cells(row: Row) -> tuple[str, ...]:
    """One row of the table as text, in the order of COLUMNS."""
    size = f"{row.size_bytes / 1e6:.2f}"
    if row.latency_ms is None or row.real_latency_ms is None:
        return (plain(row.step), row.status, "", "", size, "", "", "", "", "")
    found = row.versus_baseline
    return (
        f"{plain(row.step)} (baseline)" if row.is_baseline else plain(row.step),
        percent(row.quality),
        drop(found),
        found.quality_verdict if found else "",
        size,
        f"{row.latency_ms.p50:.2f}",
        f"{row.latency_ms.p90:.2f}",
        f"{row.real_latency_ms.p50:.2f}",
        times(found.speedup) if found else "",
        found.speed_verdict if found else "",
    )


def render_markdown(report: Report) -> str:
    """The whole report."""
    lines = [f"# {plain(report.recipe)}", "", f"**{verdict(report).capitalize()}.**", ""]
    lines += [f"- {plain(sentence)}" for sentence in headline(report)]
    lines += [f"- **Warning:** {plain(warning)}" for warning in warnings(report)]
    for target in report.targets:
        lines += ["", f"## {describe_target(report, target)}", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
        lines += ["| " + " | ".join(cells(row)) + " |" for row in report.on(target)]
        lines += ["", *[f"- {plain(reason)}" for reason in reasons(report.on(target))]]
        lines += _attribution(report, target)
    lines += _ablations(report)
    host, metric = report.host, METRICS.get(report.test.metric, report.test.metric)
    lines += [
        "",
        f"Score: {metric} on {report.task['test_rows']:,} test rows. Drop and speed are against `{report.baseline}`, "
        "measured in the same run with interleaved rounds; intervals are at 95%, the drop's is paired. A torch step is "
        "measured through its ONNX export where ONNX is read.",
        *[f"Note: {note}." for note in report.notes],
        "",
        f"Host: {host['cpu']}, {host['cores']} cores, {', '.join(host['isa']) or 'no known ISA flags'}; "
        f"onnxruntime {host['versions'].get('onnxruntime')}, torch {host['versions'].get('torch')}. "
        f"Seed {report.seed}. {report.created}.",
    ]
    return "\n".join(lines) + "\n"


def _attribution(report: Report, target: str) -> list[str]:
    """What each step bought and what it cost, against the step that it was made from."""
    rows = [row for row in report.on(target) if row.bought is not None]
    if not rows:
        return []
    lines = ["", "What each step bought, against the one before:", ""]
    lines += [
        "| step | times faster | smaller | drop, points | rows lost / gained |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        found = row.bought
        assert found is not None
        lines.append(
            f"| {plain(row.step)} | {times(found.speedup)} | {found.smaller:.2f}x | {drop(found)} "
            f"| {found.lost} / {found.gained} |"
        )
    return lines


def _ablations(report: Report) -> list[str]:
    if not report.ablations:
        return []
    lines = ["", "## What each step was worth: the whole chain against the chain without it", ""]
    lines += [
        "| without | faster with it | smaller with it | drop with it, points | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for found in report.ablations:
        if found.worth is None:
            lines.append(f"| {found.step} | | | | {found.reason} |")
        else:
            lines.append(
                f"| {found.step} | {times(found.worth.speedup)} | {found.worth.smaller:.2f}x "
                f"| {drop(found.worth)} | {found.worth.quality_verdict} |"
            )
    return lines
