"""The report as Markdown, for a pull request, and the sentences that the terminal shares with it."""

from collections.abc import Sequence

from compress.report.build import Report, Row

COLUMNS = ("step", "score", "drop", "size MB", "smaller", "p50 ms", "p90 ms", "faster")


def cells(row: Row, baseline: Row | None) -> tuple[str, ...]:
    """One row of the table as text, in the order of COLUMNS."""
    if row.latency_ms is None or row.quality is None:
        return (row.step, row.status, "", f"{row.size_bytes / 1e6:.2f}", "", "", "", "")
    smaller = f"{baseline.size_bytes / row.size_bytes:.1f}x" if baseline else ""
    return (
        row.step,
        f"{100 * row.quality:.2f}%",
        "" if row.drop_pp is None else f"{row.drop_pp:+.2f}",
        f"{row.size_bytes / 1e6:.2f}",
        smaller,
        f"{row.latency_ms.p50:.2f}",
        f"{row.latency_ms.p90:.2f}",
        "" if row.speedup is None else f"{row.speedup:.1f}x",
    )


def rows_of(report: Report, target: str) -> tuple[list[Row], Row | None]:
    """A target's rows, and the baseline among them."""
    rows = [row for row in report.rows if row.target == target]
    return rows, next((row for row in rows if row.is_baseline), None)


def describe_target(report: Report, target: str) -> str:
    """What was measured where, in one line."""
    spec = report.targets[target]
    return (
        f"{target}: {spec['runtime']} on {spec['device']}, {spec['threads']} threads, batch {spec['batch_size']}, "
        f"{spec['sequence_length']} tokens"
    )


def verdict(report: Report) -> str:
    """Whether the goal is met, in one line."""
    if report.goal["met"] is None:
        return "no goal is set"
    if report.goal["met"]:
        return "goal met"
    return "goal missed: " + "; ".join(report.goal["missed"])


def reasons(rows: Sequence[Row]) -> list[str]:
    """Why rows hold no numbers: one line a row."""
    return [f"{row.step} on {row.target} {row.status}: {row.reason}" for row in rows if row.reason]


def render_markdown(report: Report) -> str:
    """The whole report."""
    lines = [f"# {report.recipe}", "", f"**{verdict(report).capitalize()}.**", ""]
    for target in report.targets:
        rows, baseline = rows_of(report, target)
        lines += [f"## {describe_target(report, target)}", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
        lines += ["| " + " | ".join(cells(row, baseline)) + " |" for row in rows]
        lines += ["", *[f"- {reason}" for reason in reasons(rows)]]
    host = report.host
    lines += [
        "",
        f"Score: {report.task['metric']} on {report.task['test_rows']:,} test rows. Drop (percentage points), "
        f"smaller and faster are against `{report.baseline}` in fp32, measured in the same run; a step that gives "
        "a torch model is measured through its ONNX export.",
        *[f"Note: {note}." for note in report.notes],
        "",
        f"Host: {host['cpu']}, {host['cores']} cores, {', '.join(host['isa']) or 'no known ISA flags'}; "
        f"onnxruntime {host['versions'].get('onnxruntime')}, torch {host['versions'].get('torch')}. "
        f"Seed {report.seed}. {report.created}.",
    ]
    return "\n".join(lines) + "\n"
