"""`compress plan`: what a run would do, and its forecast."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.help_pages import RUNNING, START, add_command
from compress.cli.options import Json
from compress.cli.run import RecipeName, RunsDir, Set
from compress.cli.saying import say, say_first, say_json

if TYPE_CHECKING:
    from compress.planning.feasibility import Feasibility
    from compress.planning.plan import Plan
    from compress.running.forecast import Forecast
    from compress.tasks import Task


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        "plan",
        plan,
        START,
        "compress plan recipe.yaml",
        "compress plan quickstart --no-forecast           # in a second",
        "compress plan recipe.yaml --set targets.cpu.threads=4 --json",
    )


def plan(
    recipe: RecipeName,
    runs_dir: RunsDir = Path("runs"),
    overrides: Set = None,
    no_forecast: Annotated[
        bool, typer.Option("--no-forecast", help="Do not measure a few batches of each step.", rich_help_panel=RUNNING)
    ] = False,
    json_output: Json = False,
) -> None:
    """Check a recipe and its data; say what a run would do, and forecast its time, memory and disk."""
    say_first(f"reading {recipe}", quiet=json_output)
    from compress import stages
    from compress.cli.console import OnlyBars, Terminal
    from compress.planning.planner import make_plan
    from compress.recipe.shipped import find_recipe
    from compress.recipe.yaml_file import load_recipe
    from compress.running.outlook import BATCHES, look_ahead, measure_forecast

    loaded, origin = load_recipe(find_recipe(recipe), overrides or (), stages.roles_of)
    forecast = None
    with Terminal(quiet=json_output) as terminal:
        planned = make_plan(loaded, origin, terminal.announce)
        for remark in planned.remarks:
            terminal.warned(remark)
        outlook = look_ahead(planned, runs_dir)
        for warning in outlook.feasibility.warnings:
            terminal.warned(warning)
        if not no_forecast and outlook.to_do:
            terminal.announce(f"measuring {BATCHES} batches of each step that is to do")
            forecast = measure_forecast(outlook, runs_dir, OnlyBars(terminal))
    done, feasible = outlook.done, outlook.feasibility
    if json_output:
        say_json({**_plan_json(planned, done, feasible, forecast), "baselines": outlook.baselines})
    else:
        _print(planned, done, feasible, forecast)
        _print_baselines(outlook.baselines)
        if forecast is not None:
            _print_sum(forecast, runs_dir)


def _plan_json(
    planned: "Plan", done: Collection[str], feasible: "Feasibility", forecast: "Forecast | None"
) -> dict[str, Any]:
    costs = {step.step: step for step in forecast.steps} if forecast else {}
    identity_fields = {"step", "stage", "key"}
    steps = [
        {
            "step": step.name,
            "stage": step.stage_name,
            "key": step.identity.key,
            "done": step.name in done,
            "only_measured": step.only_measured,
            "config": step.config.model_dump(mode="json"),
            "forecast": costs[step.name].model_dump(exclude=identity_fields) if step.name in costs else None,
        }
        for step in planned.steps
    ]
    total = None
    if forecast is not None:
        memory = max(step.memory_bytes for step in forecast.steps)
        total = {"seconds": forecast.seconds, "memory_bytes": memory, "disk_bytes": forecast.disk_bytes}
    bench = costs["bench"].model_dump(exclude=identity_fields) if "bench" in costs else None
    return {
        "recipe": planned.recipe.name,
        "data": _data(planned.task),
        "steps": steps,
        "targets": _targets(planned, feasible),
        "measuring": bench,
        "forecast": total,
        "remarks": [*planned.remarks, *feasible.cautions],
        "searches": planned.recipe.search is not None,
    }


def _targets(planned: "Plan", feasible: "Feasibility") -> dict[str, Any]:
    """Each target's settings, why it will be skipped (null: it will not), and the steps skipped on it with reasons."""
    skipped = feasible.targets
    return {
        name: {
            **target.model_dump(),
            "skipped": skipped.get(name),
            "skipped_steps": {
                step: skip.reason for skip in feasible.skipped if skip.target == name for step in skip.steps
            },
        }
        for name, target in planned.recipe.targets.items()
    }


def _data(task: "Task") -> dict[str, Any]:
    """The number of rows of each part, and of each label in it, in the order of the classes."""
    parts: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        rows = getattr(task, part)
        parts[part] = {"rows": len(rows), "labels": task.truth(rows).counts()}
    return {**parts, "unlabelled": {"rows": len(task.unlabelled)}, "notes": list(task.notes)}


def _print(planned: "Plan", done: Collection[str], feasible: "Feasibility", forecast: "Forecast | None") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from compress.cli.screen import Screen
    from compress.report.words import describe

    task = planned.task
    say(
        f"{planned.recipe.name}: {len(task.train):,} training, {len(task.validation):,} validation and "
        f"{len(task.test):,} test rows, {len(task.labels)} labels"
        + (f"; {len(task.unlabelled):,} rows without labels" if task.unlabelled else "")
    )
    for note in task.notes:
        say(f"note: {note}")
    costs = {step.step: step for step in forecast.steps} if forecast else {}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("step", overflow="fold")
    table.add_column("stage", no_wrap=True)
    for column in ("time", "memory", "disk") if forecast else ():
        table.add_column(column, justify="right", no_wrap=True)
    for step in planned.steps:
        state = "done" if step.name in done else "to do"
        table.add_row(
            state, f"{step.name}{' *' if step.only_measured else ''}", step.stage_name, *_figures(costs, step.name)
        )
    if "bench" in costs:
        table.add_row("to do", "measuring", "", *_figures(costs, "bench"))
    Screen().print(table)
    if any(step.only_measured for step in planned.steps):
        say("* only to measure it")
    for target, spec in planned.recipe.targets.items():
        skipped = " (will be skipped)" if target in feasible.targets else ""
        say(f"target {target}: {describe(spec.model_dump())}{skipped}")
        for skip in feasible.skipped:
            if skip.target == target and skip.steps:
                say(f"  skipped on it: {', '.join(skip.steps)} ({skip.reason})")
    if not planned.recipe.targets:
        say("no targets: nothing will be measured")
    if planned.recipe.search is not None:
        say("then a search: the smallest model that keeps the goal; its time is not in the forecast")


def _print_baselines(baselines: Mapping[str, str]) -> None:
    """Print which simple baselines a run fits; their time is in no forecast."""
    for state, words in (
        ("done", "fitted before"),
        ("to do", "to be fitted (in no forecast)"),
    ):
        names = [name for name, other in baselines.items() if other == state]
        if names:
            say(f"simple baselines {words}:")
            say(f"  {', '.join(names)}")
    for name, state in baselines.items():
        if state not in {"done", "to do"}:
            say(f"note: no baseline '{name}': {state}")


def _print_sum(forecast: "Forecast", runs_dir: Path) -> None:
    from compress.files.disks import free_disk
    from compress.processes.memory import free_memory

    most = forecast.peak_memory_step
    assert most is not None  # there is a step to do
    free, disk = free_memory(), free_disk(runs_dir)
    say(
        f"forecast: {_duration(forecast.seconds)}; {_size(most.memory_bytes)} of memory ({_size(free)} free); "
        f"{_size(forecast.disk_bytes)} of disk ({_size(disk)} free)"
    )
    if most.memory_bytes > free or forecast.disk_bytes > disk:
        say("warning: that does not fit, so `compress run` will refuse it", err=True)


def _figures(costs: Mapping[str, Any], step: str) -> list[str]:
    cost = costs.get(step)
    if cost is None:
        return []
    on_disk = cost.artifact_bytes + cost.scratch_bytes
    return [_duration(cost.seconds), _size(cost.memory_bytes), _size(on_disk) if on_disk else ""]


def _duration(seconds: float) -> str:
    """A size in MB or GB, with as many digits as a forecast has."""
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
