"""`compress bench ARTIFACT…`: quality and latency of any ONNX or Hugging Face folders, side by side."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from compress.cli import options
from compress.cli.run import Json
from compress.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command."""
    from compress.recipe import BenchSpec, Target

    keyword = inspect.Parameter.KEYWORD_ONLY
    folders = typer.Argument(help="Model folders; the first is the baseline.", metavar="ARTIFACT…")
    seed = typer.Option("--seed", help="Seed of the order of turns.")
    parameters = [
        inspect.Parameter("artifacts", keyword, annotation=Annotated[list[Path], folders]),
        *[item for item in options.data_options() if item.name in KEPT],
        *options.model_options(Target),
        *options.model_options(BenchSpec),
        inspect.Parameter("seed", keyword, default=0, annotation=Annotated[int, seed]),
        inspect.Parameter("json_output", keyword, default=False, annotation=Json),
    ]
    help_text = (
        "Measure model folders side by side.\n\n"
        "All see the same test rows, each in a process of its own. "
        "Takes any folder with an ONNX file or a Hugging Face model, also one that this tool did not make. "
        "Speed and quality are compared with the first."
    )
    app.command("bench")(options.with_signature(bench, parameters, help_text))


KEPT = ("test", "max_length", "incomplete", "metric", "text_column", "text_pair_column", "label_column")


def bench(*, artifacts: list[Path], seed: int, json_output: bool, **given: Any) -> None:
    """Measure, print the table, exit with 1 if a measurement failed."""
    from compress.cli.console import Terminal, print_report
    from compress.measuring import bench_folders
    from compress.recipe import BenchSpec, Target, TaskSpec
    from compress.validation import Origin, validate

    task = options.take_data(
        {
            **dict.fromkeys((*options.DATA_FIELDS, *(f"{role}_column" for role in options.COLUMN_ROLES))),
            **given,
        }
    )
    if "test" not in task:
        raise InputError("there are no test rows", where="the command line", fix="add --test FILE")
    origin = Origin()
    settings = {name: value for name, value in given.items() if name not in KEPT}
    target = {name: settings.pop(name) for name in Target.model_fields}
    with Terminal(quiet=json_output) as terminal:
        report = bench_folders(
            artifacts,
            validate(TaskSpec, task, origin, label="the options"),
            validate(Target, options.settings_from(target), origin, label="the options"),
            validate(BenchSpec, options.settings_from(settings), origin, label="the options"),
            seed,
            terminal.progress,
        )
    if json_output:
        print(report.model_dump_json(indent=1))
    else:
        print_report(report)
    measured = [row for row in report.rows if row.status == "measured"]
    lost = [row for row in report.rows if row.status == "failed"] if measured else report.rows
    for row in lost:
        typer.echo(f"error: '{row.step}' {row.status}: {row.reason}", err=True)
    if lost:
        raise typer.Exit(1)
