"""The report as one HTML page that needs no network: styles, script and pictures are in the file."""

import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.answers import metric_title, name_of
from compress.report import baselines, search_words, words
from compress.report.baselines_page import baselines_chart, baselines_table
from compress.report.charts import make_charts
from compress.report.confusion import Confusion, confusion
from compress.report.cost import million_words
from compress.report.figure import Chart, number
from compress.report.model import Flip, GoalVerdict, Report, Row
from compress.report.next_steps import next_steps
from compress.report.page_cells import Cell, change_cell, end_to_end_cell, speed_cell, with_interval
from compress.report.page_tables import PageTable, ablation_table, agreement_table, cost_table, main_table
from compress.report.quantized_page import choice_parts, layers_parts
from compress.report.search_page import search_part
from compress.report.shown import ShownRow, shown_rows
from compress.report.usage import Usage, usage

SHORT_KEY = 12
"""Characters of an artifact's key that the page shows."""
HOST = {"cpu": "processor", "isa": "instruction sets", "memory_bytes": "memory"}
"""Facts of a machine whose names are other words on the page."""


@dataclass(frozen=True)
class Tile:
    """A figure that stands out at the top of the page, with its interval or a remark, and its verdict."""

    label: str
    figure: Cell
    small: str = ""


@dataclass(frozen=True)
class Flips:
    """The rows on which a step and the baseline differ.

    Attributes:
        lost: rows on which the step is worse than the baseline.
        gained: rows on which the step is better.
        all_lost, all_gained: the number of all such rows; the lists may hold fewer.
    """

    step: str
    lost: list[Flip]
    gained: list[Flip]
    all_lost: int
    all_gained: int


@dataclass(frozen=True)
class TargetPart:
    """The part of the page about one target."""

    name: str
    anchor: str
    description: str
    tiles: list[Tile]
    tables: list[PageTable]
    charts: list[Chart]
    flips: list[Flips]
    cost: str
    confusion: Confusion | None


def _usage(report: Report) -> Usage | None:
    """The lines that use the final model; None if `compress predict` does not answer for its task."""
    answers_labels = name_of(report.test.right_answers) == "label"
    return usage("final", pairs="pairs" in report.task) if report.recipe_text and answers_labels else None


def render_html(report: Report) -> str:
    """The whole page, some 100 kB of text; it loads nothing from any address."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_part),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    targets = [_target_part(report, target, number) for number, target in enumerate(report.targets, 1)]
    return environment.get_template("page.html.j2").render(
        report=report,
        words=words,
        metric=metric_title(report.test.metric),
        hints=[(item.title, item.hint) for item in type(report.test.right_answers).METRICS.values() if item.hint],
        state=goal_state(report.goal),
        goal=goal_words(report.goal),
        targets=targets,
        next_steps=next_steps(report),
        usage=_usage(report),
        search_words=search_words,
        search=search_part(report),
        baselines=baselines,
        baselines_table=baselines_table(report),
        baselines_chart=baselines_chart(report),
        ablations=_ablations(report),
        choices=choice_parts(report),
        layers=layers_parts(report),
        margin=next((row.versus_baseline.margin_pp for row in report.rows if row.versus_baseline), None),
        conditions=_conditions(report),
        host=_host(report.host),
        task=_facts(report.task),
        config=_config,
        short_key=lambda key: key[:SHORT_KEY],
        sentence=lambda text: text[:1].upper() + text[1:],
        css=Markup(_part("page.css")),
        script=Markup(_part("page.js")),
    )


def goal_state(goal: GoalVerdict) -> str:
    """The state of a goal: `met`, `doubt`, `missed`, or `none` without a goal."""
    if goal.met is None:
        return "none"
    if not goal.met:
        return "missed"
    return "doubt" if goal.doubts else "met"


def goal_words(goal: GoalVerdict) -> str:
    """The limits of a goal in one line; empty without a goal."""
    parts = []
    if goal.max_drop_pp is not None:
        parts.append(f"a drop of at most {words.margin(goal.max_drop_pp)}")
    if goal.min_speedup is not None:
        parts.append(f"at least {goal.min_speedup:g}x faster")
    if goal.min_end_to_end_speedup is not None:
        parts.append(f"at least {goal.min_end_to_end_speedup:g}x faster end to end")
    if goal.max_size_mb is not None:
        parts.append(f"at most {goal.max_size_mb:g} MB")
    return ", ".join(parts)


def _part(name: str) -> str:
    return (importlib.resources.files("compress.report") / name).read_text(encoding="utf-8")


def _target_part(report: Report, target: str, number: int) -> TargetPart:
    rows = shown_rows(report, target)
    measured = [row for row in rows if row.latency_ms is not None]
    tables = [main_table(report, target)]
    tables += [cost_table(report, target), agreement_table(report, target)] if measured else []
    return TargetPart(
        name=target,
        anchor=f"target-{number}",
        description=words.describe_target(report, target).removeprefix(f"{target}: "),
        tiles=_tiles(rows[-1], report) if rows else [],
        tables=tables if rows else [],
        charts=make_charts(report, target),
        flips=[_flips(row) for row in measured if row.flips],
        cost=million_words(report, target),
        confusion=_confusion(measured, report),
    )


def _confusion(measured: Sequence[ShownRow], report: Report) -> Confusion | None:
    """The confusion of the last measured step beside the baseline; None if there are no predictions of classes."""
    if not measured or not report.test.labels or not measured[-1].predictions or report.test.answers != "label":
        return None
    baseline = next((row for row in measured if row.is_baseline and row is not measured[-1]), None)
    return confusion(measured[-1], baseline, report.test)


def _tiles(row: Row, report: Report) -> list[Tile]:
    """The tiles of the last step."""
    metric = metric_title(report.test.metric)
    comparison, latency = row.versus_baseline, row.latency_ms
    if latency is None:
        return []
    tiles = []
    if comparison is not None:
        if comparison.speedup is not None:
            tiles.append(Tile("times faster, model alone", speed_cell(comparison)))
        if comparison.end_to_end is not None:
            tiles.append(Tile("times faster end to end", end_to_end_cell(row)))
        tiles.append(Tile(f"change of {metric}, points", change_cell(comparison, report.test.metric)))
    tiles.append(Tile(metric, with_interval(words.percent(row.quality))))
    tiles.append(Tile("median latency", Cell(f"{number(latency.p50)} ms"), f"p99 {number(latency.p99)} ms"))
    note = f"{comparison.smaller:.1f}x smaller" if comparison else "all files that are read"
    tiles.append(Tile("size", Cell(f"{number(row.size_bytes / 1e6)} MB"), note))
    return tiles


def _flips(row: Row) -> Flips:
    lost = [flip for flip in row.flips if flip.is_loss]
    gained = [flip for flip in row.flips if not flip.is_loss]
    comparison = row.versus_baseline
    return Flips(
        row.step,
        lost,
        gained,
        comparison.lost if comparison else len(lost),
        comparison.gained if comparison else len(gained),
    )


def _ablations(report: Report) -> list[tuple[str, PageTable]]:
    """The table of ablations for each target that has any."""
    tables = []
    for target in report.targets:
        ablations = [ablation for ablation in report.ablations if ablation.target == target]
        if ablations:
            tables.append((target, ablation_table(ablations, report)))
    return tables


def _conditions(report: Report) -> dict[str, list[tuple[str, str]]]:
    """The conditions of each target's measuring, as names and values."""
    facts_by_target = {}
    for target, state in report.conditions.items():
        clock = None if state.clock_mhz is None else f"{state.clock_mhz:,.0f} MHz"
        facts = [
            ("clock", clock),
            ("cores that others kept busy", _rounded(state.competing_cores, "")),
            ("the measuring's own use of a core", _rounded(state.harness_cpu_pct, "%")),
            ("time taken by the hypervisor", _rounded(state.steal_pct, "%")),
            *((f"measured peak, {kind}", f"{rate:,.0f} GFLOP/s") for kind, rate in state.peak_gflops.items()),
        ]
        facts_by_target[target] = [(name, value or "not known") for name, value in facts]
    return facts_by_target


def _rounded(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:.2f}{unit}"


def _host(host: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The machine's facts as names and values; memory is in gigabytes."""
    facts = {HOST.get(name, name): value for name, value in host.items()}
    if isinstance(facts.get("memory"), int):
        facts["memory"] = f"{facts['memory'] / 1e9:.1f} GB"
    return _facts(facts)


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts as names and values for people to read."""
    texts = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{key} {item}" for key, item in value.items())
        elif isinstance(value, list | tuple):
            text = ", ".join(str(item) for item in value)
        else:
            text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        texts.append((name.replace("_", " "), text or "none"))
    return texts


def _config(config: Mapping[str, Any]) -> str:
    """A step's settings on one line, without those that are None."""
    texts = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            texts.append(f"{name}: ({_config(value)})")
        elif value is not None:
            texts.append(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
    return ", ".join(texts)
