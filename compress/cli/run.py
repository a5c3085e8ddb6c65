"""`compress run`, and the parts that all commands which run a plan share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from compress.cli import gate
from compress.cli.help_pages import RUNNING, START, add_command
from compress.cli.options import Json
from compress.cli.recipes import complete_recipe
from compress.cli.saying import say, say_first, say_json, say_json_line, say_model
from compress.errors import InputError
from compress.report.usage import HUB_TASK, usage

if TYPE_CHECKING:
    from compress.cli.console import Terminal
    from compress.planning.plan import Plan
    from compress.recipe.schema import Recipe
    from compress.recipe.validation import Origin
    from compress.running.runner import Result
    from compress.store.shared import SharedStore

RunsDir: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--runs-dir", help="Where runs and their artifacts are kept.", file_okay=False, rich_help_panel=RUNNING
    ),
]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Override a value: --set prune.ffn=0.3. May be repeated.",
        metavar="KEY=VALUE",
        rich_help_panel=RUNNING,
    ),
]
Force: TypeAlias = Annotated[
    bool,
    typer.Option("--force", help="Start even if memory or disk will not do, by the forecast.", rich_help_panel=RUNNING),
]
On: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ray|ray://HOST:PORT",
        help="Make a search's candidates side by side on a Ray cluster, or on a local one.",
        rich_help_panel=RUNNING,
    ),
]
StoreUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Share finished steps with other machines: s3://BUCKET/FOLDER, file:///FOLDER, …",
        rich_help_panel=RUNNING,
    ),
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show what the run writes into its run.log: losses, keys, findings.")
]
RecipeName: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="A recipe's path, or the name of a shipped one.", metavar="RECIPE", autocompletion=complete_recipe
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        "run",
        run,
        START,
        "compress run quickstart",
        "compress run recipe.yaml --set pruned.ffn=0.3 --set seed=1",
        "compress run recipe.yaml --smoke                 # will it work?",
        "compress run recipe.yaml --max-drop-pp 1 --min-speedup 4",
    )


def run(
    recipe: RecipeName,
    runs_dir: RunsDir = Path("runs"),
    overrides: Set = None,
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablate",
            help="Also run the chain without each of its steps, and say what it is worth.",
            rich_help_panel=RUNNING,
        ),
    ] = False,
    max_drop_pp: gate.MaxDrop = None,
    min_speedup: gate.MinSpeedup = None,
    min_end_to_end_speedup: gate.MinEndToEndSpeedup = None,
    max_size_mb: gate.MaxSize = None,
    baseline: gate.Baseline = None,
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke",
            help="Try every step on a few rows, and keep nothing: what would break at hour three?",
            rich_help_panel=RUNNING,
        ),
    ] = False,
    on: On = None,
    store: StoreUrl = None,
    force: Force = False,
    verbose: Verbose = False,
    json_output: Json = False,
) -> None:
    """Run a recipe: make what is not made yet, measure, and report."""
    say_first(f"reading {recipe}", quiet=json_output)
    from compress import stages
    from compress.recipe.shipped import find_recipe
    from compress.recipe.yaml_file import load_recipe

    loaded, origin = load_recipe(find_recipe(recipe), overrides or (), stages.roles_of)
    shared = shared_store(store)
    if smoke:
        _smoke(loaded, origin, runs_dir, json_output=json_output)
        return
    limits = gate.read_gate(max_drop_pp, min_speedup, min_end_to_end_speedup, max_size_mb, baseline)
    result = finish(
        loaded,
        origin,
        runs_dir,
        ablate=ablate,
        force=force,
        verbose=verbose,
        json_output=json_output,
        on=on,
        shared=shared,
    )
    if limits is not None and result.report:
        last = loaded.steps[-1].name
        rows = [row for row in result.report.rows if row.step == last and row.status == "measured"]
        limits.judge(result.report, rows[:1])


def shared_store(url: str | None) -> "SharedStore | None":
    """The shared store that the option names, which was tried; None without one.

    Raises:
        InputError: it cannot be used.
    """
    if url is None:
        return None
    from compress.store.shared import open_shared

    return open_shared(url)


def _smoke(recipe: "Recipe", origin: "Origin", runs_dir: Path, *, json_output: bool) -> None:
    """Rehearse the whole recipe with the longest rows and one optimizer step of each training."""
    from compress.cli.console import Terminal
    from compress.machine.facts import host_facts
    from compress.planning.feasibility import check_feasible
    from compress.planning.planner import make_plan
    from compress.running.folder import open_store
    from compress.running.rehearsal import rehearse

    with Terminal(quiet=json_output) as terminal:
        plan = make_plan(recipe, origin, terminal.announce)
        for warning in check_feasible(plan, ()).warnings:
            terminal.warned(warning)
        rehearsed = rehearse(plan, terminal, host_facts(), open_store(runs_dir), batches=1, done={})
    if json_output:
        say_json({"works": True, "seconds": rehearsed.seconds})
        return
    measuring = " and the measuring" if recipe.targets else ""
    say(f"every step{measuring} works, as far as a few rows can tell ({rehearsed.seconds:.0f} s); nothing was kept")


def finish(
    recipe: "Recipe",
    origin: "Origin",
    runs_dir: Path,
    *,
    json_output: bool,
    ablate: bool = False,
    force: bool = False,
    verbose: bool = False,
    on: str | None = None,
    shared: "SharedStore | None" = None,
) -> "Result":
    """Plan and run a recipe, print its result; exit with 1 if a measurement failed, 3 if the goal is missed."""
    from compress.cli.console import Terminal
    from compress.planning.ablation import ablate as plans_without
    from compress.planning.planner import make_plan
    from compress.running.runner import run_plan

    if recipe.search is not None:
        if ablate:
            raise InputError(
                "a search has no steps to leave out", where="--ablate", fix="run the winner's recipe with --ablate"
            )
        return finish_search(
            recipe, origin, runs_dir, force=force, verbose=verbose, json_output=json_output, on=on, shared=shared
        )
    if on is not None:
        raise InputError("the recipe searches for nothing", where="--on", fix="leave it out, or add search: {}")
    with Terminal(quiet=json_output, verbose=verbose) as terminal:
        plan = make_plan(recipe, origin, terminal.announce)
        if ablate and not recipe.targets:
            raise InputError(
                "there is no target to measure the steps' worth on", where=origin.path, fix="add targets to the recipe"
            )
        _expect(terminal, plan, runs_dir, shared)
        with terminal.interrupt.caught():
            without = plans_without(plan) if ablate else ()
            result = run_plan(plan, runs_dir, terminal, without, force=force, shared=shared)
    _tell(plan, result, json_output=json_output)
    return result


def finish_search(
    recipe: "Recipe",
    origin: "Origin",
    runs_dir: Path,
    *,
    json_output: bool,
    force: bool = False,
    verbose: bool = False,
    save_recipe: Path | None = None,
    on: str | None = None,
    shared: "SharedStore | None" = None,
) -> "Result":
    """Search, run the winner, print its result; the exit codes are those of `finish`.

    Args:
        json_output: print an event in a line for each candidate, and the report as the last.
        save_recipe: the file to which the winner's recipe is written.
        on: where candidates are made: `ray`, or its address. None: here.
        shared: the store of other machines, from which missing artifacts are taken.
    """
    from compress.cli.console import Terminal
    from compress.cli.search_lines import SearchLines
    from compress.files.whole import write_text
    from compress.running.folder import dump_recipe
    from compress.search.run import margin_of, run_search

    assert recipe.search is not None
    with Terminal(quiet=json_output, verbose=verbose) as terminal:
        lines = SearchLines(terminal, margin_of(recipe), recipe.search.minimize, json_output=json_output)
        with terminal.interrupt.caught():
            found = run_search(recipe, origin, runs_dir, terminal, lines, force=force, on=on, shared=shared)
    if save_recipe is not None:
        write_text(save_recipe, dump_recipe(found.plan))
        say(f"recipe: {save_recipe}", err=True)
    if json_output and found.result.report is not None:
        say_json_line({"event": "report", **found.result.report.model_dump(mode="json")})
        _exit_if_failed(found.result)
    else:
        _tell(found.plan, found.result, json_output=json_output)
    return found.result


def _tell(plan: "Plan", result: "Result", *, json_output: bool) -> None:
    """Print the result of a run; exit with 1 if a measurement failed, 3 if the goal is missed."""
    if not json_output:
        _print(plan, result)
    elif result.report:
        say_model(result.report)
    else:
        say_json(_run_json(plan, result))
    _exit_if_failed(result)


def _print(plan: "Plan", result: "Result") -> None:
    """Print the result of a run: its report, and where its files are."""
    from compress.cli.console import print_report
    from compress.cli.print_quantized import print_quantized
    from compress.running.report import quantized_steps

    if result.did_nothing:
        measured = " and measurement" if result.report else ""
        say(f"nothing to do: every step{measured} is done")
    if result.report:
        print_report(result.report)
        say(f"report: {result.folder / 'report.html'}, .md and .json")
    else:
        print_quantized(quantized_steps(plan, result.artifacts), plan.task.truth([]).WORDS)
    say(f"artifacts: {result.folder / 'steps'}")
    say(f"final: {result.folder / 'final'}")
    if plan.task.hub_task == HUB_TASK:
        lines = usage(str(result.folder / "final"), pairs="text_pair" in plan.recipe.task.columns)
        say(f"use it: {lines.texts}")
        say(f"        {lines.expression}  # in Python")


def _exit_if_failed(result: "Result") -> None:
    """Exit with 1 if a measurement failed or there is none, with 3 if the goal is missed."""
    for failure in result.failures:
        say(f"error: measuring failed: {failure}", err=True)
    unmeasured = result.report and all(row.status != "measured" for row in result.report.rows)
    if unmeasured and not result.failures:
        say("error: nothing was measured: no artifact runs on any target here", err=True)
    if result.failures or unmeasured:
        raise typer.Exit(1)
    if result.report and result.report.goal.met is False:
        raise typer.Exit(gate.MISSED)


def _expect(terminal: "Terminal", plan: "Plan", runs_dir: Path, shared: "SharedStore | None") -> None:
    """Tell the terminal which steps are to do, and how long they take if `compress plan` has measured it."""
    from compress.machine.facts import host_facts
    from compress.running.folder import open_store, run_folder
    from compress.running.forecast import kept_forecast

    store = open_store(runs_dir, shared)
    done = {step.name for step in plan.steps if store.has(step.identity)}
    forecast = kept_forecast(plan, done, run_folder(runs_dir, plan.recipe.name), host_facts())
    steps = forecast.steps if forecast else ()
    seconds = {step.step: step.seconds for step in steps if step.seconds is not None}
    terminal.expect([step.name for step in plan.recipe.steps], seconds)


def _run_json(plan: "Plan", result: "Result") -> dict[str, Any]:
    """The result of a run without a report as JSON: where the artifacts are, and what quantizing did."""
    from compress.facts import Quantization

    facts = {step.name: Quantization.part_of(result.artifacts[step.name].facts) for step in plan.steps}
    return {
        "artifacts": {step.name: str(result.folder / "steps" / step.name) for step in plan.steps},
        "facts": {name: step_facts for name, step_facts in facts.items() if step_facts},
    }
