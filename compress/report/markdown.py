"""The report as Markdown, for a pull request."""

import re

from compress.answers import metric_title
from compress.errors import printable
from compress.facts import Candidate, Choice, Sensitivity
from compress.report import baselines, quantized_words, search_words
from compress.report.model import Report, Row, SimpleBaseline
from compress.report.next_steps import next_steps
from compress.report.shown import shown_rows
from compress.report.words import (
    POINTS,
    change,
    describe_target,
    headline,
    interval,
    percent,
    reasons,
    sentence,
    times,
    verdict,
    warnings,
)

COLUMNS = (
    "step",
    "score (95% interval)",
    "change, points",
    "quality",
    "size MB",
    "p50 ms",
    "p90 ms",
    "real texts p50 ms",
    "times faster",
    "speed",
    "end to end",
)


_MARKS = re.compile(r"([\\`*\[\]|~])")


def plain(text: str) -> str:
    """The text with everything escaped that has a meaning in Markdown, in HTML or on a terminal."""
    return _MARKS.sub(r"\\\1", printable(text)).replace("&", "&amp;").replace("<", "&lt;")


def code(text: str) -> str:
    """The text as code, without anything that has a meaning on a terminal."""
    return f"`{printable(text).replace('`', chr(39))}`"


def cells(row: Row) -> tuple[str, ...]:
    """The cells of one row of the table, in the order of COLUMNS."""
    size = f"{row.size_bytes / 1e6:.2f}"
    if row.latency_ms is None or row.real_latency_ms is None:
        return (plain(row.step), row.status, "", "", size, "", "", "", "", "", "")
    comparison = row.versus_baseline
    return (
        f"{plain(row.step)} (baseline)" if row.is_baseline else plain(row.step),
        percent(row.quality),
        change(comparison),
        comparison.quality_verdict if comparison else "",
        size,
        f"{row.latency_ms.p50:.2f}",
        f"{row.latency_ms.p90:.2f}",
        f"{row.real_latency_ms.p50:.2f}",
        times(comparison.speedup) if comparison else "",
        comparison.speed_verdict if comparison else "",
        times(comparison.end_to_end) if comparison else "",
    )


def render_markdown(report: Report) -> str:
    """The whole report as Markdown."""
    lines = [f"# {plain(report.recipe)}", "", f"**{plain(sentence(verdict(report)))}.**", ""]
    lines += [f"- **{plain(sentence(line))}.**" for line in search_words.result(report)]
    lines += [f"- {plain(sentence_of_target)}" for sentence_of_target in headline(report)]
    lines += [f"- **{plain(sentence(line))}**" for line in baselines.verdicts(report)]
    lines += [f"- **Warning:** {plain(warning)}" for warning in warnings(report)]
    lines += _next_steps(report)
    lines += _search(report)
    for target in report.targets:
        lines += ["", f"## {plain(describe_target(report, target))}", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
        lines += ["| " + " | ".join(cells(row)) + " |" for row in shown_rows(report, target)]
        lines += ["", *[f"- {plain(reason)}" for reason in reasons(shown_rows(report, target))]]
        lines += _attribution(report, target)
    lines += [*_baselines(report), *_ablations(report), *_choices(report), *_layers(report)]
    host, metric = report.host, metric_title(report.test.metric)
    lines += [
        "",
        f"Score: {metric} on {report.task['test_rows']:,} test rows. Change and speed are against "
        f"{code(report.baseline)}, measured in the same run with interleaved rounds; intervals are at 95%, the "
        "change's is paired. A torch step is measured through its ONNX export where ONNX is read. "
        "End to end is the same with the tokenizer, on test rows of their own length.",
        *[f"Note: {plain(note)}." for note in report.notes],
        "",
        f"Host: {plain(str(host['cpu']))}, {host['cores']} cores, {', '.join(host['isa']) or 'no known ISA flags'}; "
        f"onnxruntime {host['versions'].get('onnxruntime')}, torch {host['versions'].get('torch')}. "
        f"Seed {report.seed}. {report.created}.",
    ]
    return "\n".join(lines) + "\n"


def _next_steps(report: Report) -> list[str]:
    """The lines on what to try next, if the goal is missed or in doubt."""
    steps = next_steps(report)
    lines = ["", "## What to try next", ""] if steps else []
    return [*lines, *(f"- {plain(sentence(step.what))}. Because {plain(step.because)}." for step in steps)]


def _search(report: Report) -> list[str]:
    """The lines on the search: how it went, its finalists, and all its candidates."""
    search = report.search
    if search is None:
        return []
    lines = ["", "## The search", "", *[f"- {plain(sentence(line))}." for line in search_words.about(search)], ""]
    lines += ["| finalist | change, points | at least | verdict |", "| --- | ---: | ---: | --- |"]
    for one in search.selection.finalists:
        verdict_on_it = plain(search_words.verdict(one, search.selection.rows))
        lines.append(
            f"| {plain(one.name)} | {search_words.changed(one.drop_pp)} | {search_words.bound(one)} | {verdict_on_it} |"
        )
    heads = ("score", "change, points", "text to answer p50 ms", "p50 ms", "size MB")
    lines += ["", f"<details><summary>{len(search.candidates)} candidates</summary>", ""]
    lines += ["| candidate | what | " + " | ".join(heads) + " | how far it came |"]
    lines += ["| --- | --- |" + " ---: |" * len(heads) + " --- |"]
    lines += ["| " + " | ".join(map(plain, search_words.cells(one))) + " |" for one in search.candidates]
    return [*lines, "", "</details>"]


def _attribution(report: Report, target: str) -> list[str]:
    """The table of each step's gains and costs against the step that it was made from."""
    rows = [row for row in shown_rows(report, target) if row.bought is not None]
    if not rows:
        return []
    lines = ["", "What each step bought, against the one before:", ""]
    lines += [
        "| step | times faster | smaller | change, points | rows lost / gained |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        comparison = row.bought
        assert comparison is not None
        lines.append(
            f"| {plain(row.step)} | {times(comparison.speedup)} | {comparison.smaller:.2f}x | {change(comparison)} "
            f"| {comparison.lost} / {comparison.gained} |"
        )
    return lines


def _baselines(report: Report) -> list[str]:
    """The table of the simple baselines."""
    if not report.baselines:
        return []
    heads = (
        *("score (95% interval)", "change, points", "quality", "against the last step", "quality"),
        *("size MB", "text to label p50 ms", "end to end", "fitted in CPU s"),
    )
    lines = ["", "## Simple baselines", "", "| baseline | " + " | ".join(heads) + " |"]
    lines += ["| --- |" + " ---: |" * len(heads)]
    lines += ["| " + " | ".join(_baseline_cells(one)) + " |" for one in baselines.fitted(report)]
    return [*lines, "", *[f"- {plain(reason)}" for reason in baselines.reasons(report)], plain(baselines.about(report))]


def _baseline_cells(baseline: SimpleBaseline) -> list[str]:
    against, last = baseline.versus_baseline, baseline.versus_last
    return [
        plain(baseline.short),
        percent(baseline.quality),
        change(against),
        against.quality_verdict if against else "",
        change(last),
        last.quality_verdict if last else "",
        f"{(baseline.size_bytes or 0) / 1e6:.2f}",
        baselines.milliseconds(baseline),
        times(against.end_to_end) if against else "",
        "" if baseline.cpu_seconds is None else f"{baseline.cpu_seconds:.1f}",
    ]


def _ablations(report: Report) -> list[str]:
    if not report.ablations:
        return []
    lines = ["", "## What each step was worth: the whole chain against the chain without it", ""]
    lines += [
        "| without | faster with it | smaller with it | change with it, points | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for ablation in report.ablations:
        if ablation.worth is None:
            lines.append(f"| {plain(ablation.step)} | | | | {plain(ablation.reason or '')} |")
        else:
            lines.append(
                f"| {plain(ablation.step)} | {times(ablation.worth.speedup)} | {ablation.worth.smaller:.2f}x "
                f"| {change(ablation.worth)} | {ablation.worth.quality_verdict} |"
            )
    return lines


def _choices(report: Report) -> list[str]:
    """The lines on each step that chose one of several candidates."""
    steps = [item for item in report.rounded if item.choice is not None]
    lines = ["", "## What was chosen, and why"] if steps else []
    for item in steps:
        assert item.choice is not None
        lines += ["", f"**{plain(item.step)}:** {plain(item.choice.verdict)}.", "", *_candidates(item.choice)]
        lines += ["", f"Measured on {quantized_words.choice_words(item.choice)}."]
    return lines


def _candidates(choice: Choice) -> list[str]:
    heads = ("size MB", "smaller", "change, points", "agreement", "p50 ms", "times faster")
    lines = ["| candidate | " + " | ".join(heads) + " | why not |", "| --- |" + " ---: |" * len(heads) + " --- |"]
    return lines + ["| " + " | ".join(_candidate(item)) + " |" for item in choice.candidates]


def _candidate(item: Candidate) -> list[str]:
    return [
        f"{plain(item.name)} (chosen)" if item.chosen else plain(item.name),
        "" if item.size_bytes is None else f"{item.size_bytes / 1e6:.2f}",
        "" if item.smaller is None else f"{item.smaller:.1f}x",
        interval(item.change, POINTS),
        "" if item.agreement is None else f"{item.agreement:.1%}",
        "" if item.latency_ms is None else f"{item.latency_ms:.2f}",
        interval(item.faster, ".2f", "x"),
        plain(item.reason),
    ]


def _layers(report: Report) -> list[str]:
    """The lines on what rounding each layer costs, and which layers stay in float."""
    steps = [item for item in report.rounded if item.sensitivity or item.left_in_float]
    lines = ["", "## Layers and what rounding them costs"] if steps else []
    for item in steps:
        sentences = []
        if item.left_in_float:
            sentences = [plain(quantized_words.left_in_float_words(item, len(item.left_in_float)))]
        if item.sensitivity is not None:
            kept_sentence = quantized_words.kept_words(item.sensitivity, 0)
            sentences = [
                f"{kept_sentence}; {quantized_words.change_words(item.sensitivity)}",
                quantized_words.search_words(item.sensitivity),
                *([quantized_words.agreed_words(item.parity, report.test.words, searched=True)] if item.parity else []),
                *sentences,
            ]
        lines += ["", *[f"- {plain(item.step)}: {fact}" for fact in sentences]]
        lines += _layer_table(item.sensitivity) if item.sensitivity else []
    return lines


def _layer_table(sensitivity: Sensitivity) -> list[str]:
    """The folded table of layers; there may be 150 of them."""
    lines = ["", f"<details><summary>{len(sensitivity.layers)} layers, in the graph's order</summary>", ""]
    lines += ["| layer | size MB | divergence, nats | written |", "| --- | ---: | ---: | --- |"]
    for layer in sensitivity.layers:
        where = "**in float**" if layer.kept_in_float else "rounded"
        size = quantized_words.megabytes(layer.bytes)
        lines.append(f"| {plain(layer.name)} | {size} | {quantized_words.nats(layer.divergence)} | {where} |")
    return [*lines, "", "</details>"]
