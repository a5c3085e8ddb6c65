"""`compress run` and `compress plan`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from compress.cli import gate
from compress.cli.options import Json
from compress.cli.recipes import find_recipe
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.recipe import Recipe
    from compress.runner import Result
    from compress.validation import Origin

RunsDir: TypeAlias = Annotated[
    Path, typer.Option("--runs-dir", help="Where runs and their artifacts are kept.", file_okay=False)
]
Set: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", help="Override a value: --set prune.ffn=0.3. May be repeated.")
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show what the run writes into its run.log: losses, keys, findings.")
]
RecipeName: TypeAlias = Annotated[
    str, typer.Argument(help="A recipe's path, or the name of a shipped one.", metavar="RECIPE")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run")(run)
    app.command("plan")(plan)


def run(
    recipe: RecipeName,
    runs_dir: RunsDir = Path("runs"),
    overrides: Set = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Also run the chain without each of its steps, and say what it is worth.")
    ] = False,
    max_drop_pp: gate.MaxDrop = None,
    min_speedup: gate.MinSpeedup = None,
    max_size_mb: gate.MaxSize = None,
    baseline: gate.Baseline = None,
    verbose: Verbose = False,
    json_output: Json = False,
) -> None:
    """Run a recipe: make what is not made yet, measure, and report."""
    from compress.recipe_yaml import load_recipe

    loaded, origin = load_recipe(find_recipe(recipe), overrides or ())
    limits = gate.read_gate(max_drop_pp, min_speedup, max_size_mb, baseline)
    result = finish(loaded, origin, runs_dir, ablate=ablate, verbose=verbose, json_output=json_output)
    if limits is not None and result.report:
        last = loaded.steps[-1].name
        rows = [row for row in result.report.rows if row.step == last and row.status == "measured"]
        limits.hold(result.report, rows[:1])


def finish(
    recipe: "Recipe",
    origin: "Origin",
    runs_dir: Path,
    *,
    json_output: bool,
    ablate: bool = False,
    verbose: bool = False,
) -> "Result":
    """Plan and run a recipe, print its result; exit with 1 if a measurement failed, 3 if the goal is missed."""
    from compress.ablation import ablate as plans_without
    from compress.cli.console import Terminal, print_report
    from compress.plan import make_plan
    from compress.runner import run_plan

    with Terminal(quiet=json_output, verbose=verbose) as terminal:
        plan = make_plan(recipe, origin, terminal.announce)
        if ablate and not recipe.targets:
            raise InputError(
                "there is no target to measure the steps' worth on", where=origin.path, fix="add targets to the recipe"
            )
        with terminal.interrupt.caught():
            result = run_plan(plan, runs_dir, terminal, plans_without(plan) if ablate else ())
    if json_output:
        places = {step.name: str(result.folder / "steps" / step.name) for step in recipe.steps}
        print(result.report.model_dump_json(indent=1) if result.report else json.dumps({"artifacts": places}))
    else:
        if result.did_nothing:
            measured = " and measurement" if result.report else ""
            print(f"nothing to do: every step{measured} is done")
        if result.report:
            print_report(result.report)
            print(f"report: {result.folder / 'report.html'}, .md and .json")
        print(f"artifacts: {result.folder / 'steps'}")
        print(f"final: {result.folder / 'final'}")
    for failure in result.failures:
        typer.echo(f"error: measuring failed: {failure}", err=True)
    unmeasured = result.report and all(row.status != "measured" for row in result.report.rows)
    if unmeasured and not result.failures:
        typer.echo("error: nothing was measured: no artifact runs on any target here", err=True)
    if result.failures or unmeasured:
        raise typer.Exit(1)
    if result.report and result.report.goal.met is False:
        raise typer.Exit(gate.MISSED)
    return result


def plan(
    recipe: RecipeName,
    runs_dir: RunsDir = Path("runs"),
    overrides: Set = None,
    json_output: Json = False,
) -> None:
    """Check a recipe and its data, and say what a run would do."""
    from compress.cli.console import Terminal
    from compress.making import whole
    from compress.plan import make_plan
    from compress.recipe_yaml import load_recipe
    from compress.runner import open_store

    loaded, origin = load_recipe(find_recipe(recipe), overrides or ())
    with Terminal(quiet=json_output) as terminal:
        planned = make_plan(loaded, origin, terminal.announce)
    store = open_store(runs_dir)
    done = {step.name: whole(step, store) is not None for step in planned.steps}
    if json_output:
        steps = [
            {
                "step": step.name,
                "stage": step.stage_name,
                "key": step.identity.key,
                "done": done[step.name],
                "only_measured": step.only_measured,
                "config": step.config.model_dump(mode="json"),
            }
            for step in planned.steps
        ]
        print(json.dumps({"recipe": loaded.name, "steps": steps}, indent=1))
        return
    task = planned.task
    print(
        f"{loaded.name}: {len(task.train):,} training, {len(task.validation):,} validation and "
        f"{len(task.test):,} test rows, {len(task.labels)} labels"
    )
    for note in task.notes:
        print(f"note: {note}")
    for step in planned.steps:
        purpose = " (only to measure it)" if step.only_measured else ""
        print(f"  {'done' if done[step.name] else 'to do':<6} {step.name:<20} {step.stage_name}{purpose}")
    for name, target in loaded.targets.items():
        print(f"  target {name}: {target.runtime} on {target.device}, batch {target.batch_size}")
    if not loaded.targets:
        print("  no targets: nothing will be measured")
