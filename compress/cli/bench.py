"""`compress bench ARTIFACT…`: quality and latency of any ONNX or Hugging Face folders, side by side."""

import inspect
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli import gate, options
from compress.cli.chain import Invocation
from compress.cli.help_pages import DATA, MEASURE, OUTPUT, add_command
from compress.cli.options import Json
from compress.cli.saying import say, say_first, say_model
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.recipe.schema import Target
    from compress.report.model import Report

KEPT = (
    "test",
    *options.READING_FIELDS,
    "max_length",
    "incomplete",
    "metric",
    "text_column",
    "text_pair_column",
    "label_column",
)
FIXES = {
    "failed": "check that model's files, or leave it out",
    "skipped": "name a --target that runs it; `compress bench --help` lists them",
}
"""The fix for a row that was not measured, by its status."""
GATES = ("max_drop_pp", "min_speedup", "min_end_to_end_speedup", "max_size_mb", "baseline")


def register(app: typer.Typer) -> None:
    """Add the command."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    folders = typer.Argument(help="Model folders; the first is the baseline.", metavar="ARTIFACT…")
    out = typer.Option(
        "--out",
        "-o",
        help="Write report.html, .md and .json into this folder.",
        file_okay=False,
        rich_help_panel=OUTPUT,
    )
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        inspect.Parameter("artifacts", keyword, annotation=Annotated[list[Path], folders]),
        *measuring_options(),
        inspect.Parameter("max_drop_pp", keyword, default=None, annotation=gate.MaxDrop),
        inspect.Parameter("min_speedup", keyword, default=None, annotation=gate.MinSpeedup),
        inspect.Parameter("min_end_to_end_speedup", keyword, default=None, annotation=gate.MinEndToEndSpeedup),
        inspect.Parameter("max_size_mb", keyword, default=None, annotation=gate.MaxSize),
        inspect.Parameter("baseline", keyword, default=None, annotation=gate.Baseline),
        inspect.Parameter("out", keyword, default=None, annotation=Annotated[Path | None, out]),
        inspect.Parameter("json_output", keyword, default=False, annotation=Json),
    ]
    help_text = (
        "Measure model folders side by side.\n\n"
        "All see the same test rows, each in a process of its own, in turns. "
        "Takes any folder with an ONNX file or a Hugging Face model, also one that this tool did not make. "
        "Speed and quality are compared with the first; give a folder twice to see how sure the figures are."
    )
    add_command(
        app,
        "bench",
        options.with_signature(bench, parameters, help_text),
        MEASURE,
        "compress bench teacher/ student/ --data test.csv",
        "compress bench model/ --data test.csv --text-column review --label-column stars",
        "compress bench teacher/ student/ --data test.csv --target onnxruntime --target torch,precision=bf16,threads=1",
        "compress bench runs/mine/final --data test.csv --baseline runs/main/report.json --max-drop-pp 0.5",
    )


def measuring_options() -> list[inspect.Parameter]:
    """The options of measuring: the rows, the targets, and how often each is timed."""
    from compress.recipe.schema import BenchSpec, Target

    keyword = inspect.Parameter.KEYWORD_ONLY
    data = [item for item in options.data_options() if item.name in KEPT and item.name != "test"]
    test = typer.Option(
        "--data", "--test", help="Test rows: a file, hf://… or pypi://….", show_default=False, rich_help_panel=DATA
    )
    target = typer.Option(
        "--target",
        help="A runtime, then settings: openvino,threads=4,batch_size=8. May be repeated; the options below "
        "are the defaults of all. Left out: what runs each folder's format, such as onnxruntime or torch.",
        metavar="RUNTIME,…",
        rich_help_panel=Target.TOPIC,
    )
    seed = typer.Option("--seed", help="Seed of the order of turns.", rich_help_panel=BenchSpec.TOPIC)
    return [
        inspect.Parameter("test", keyword, default=None, annotation=Annotated[str | None, test]),
        *data,
        inspect.Parameter("target", keyword, default=None, annotation=Annotated[list[str] | None, target]),
        *options.model_options(Target),
        *options.model_options(BenchSpec),
        inspect.Parameter("seed", keyword, default=0, annotation=Annotated[int, seed]),
    ]


def bench(
    *, context: typer.Context, artifacts: list[Path], out: Path | None, json_output: bool, **option_values: Any
) -> None:
    """Measure, print the tables, exit with 1 if a measurement failed and with 3 if a gate is missed."""
    say_first(f"reading {', '.join(map(str, artifacts))}", quiet=json_output)
    from compress.cli.console import print_report
    from compress.report.files import write_report

    limits = gate.read_gate(**{name: option_values.pop(name) for name in GATES})
    if limits is not None and len(artifacts) == 1 and limits.baseline is None and limits.is_relative:
        raise InputError(
            "one folder has nothing to be held against",
            where="compress bench",
            fix="put the baseline's folder before it, or add --baseline report.json",
        )
    if out is not None:
        make_folder(out)
    invocation = context.find_root().obj
    line = invocation.line if isinstance(invocation, Invocation) else ["bench"]
    report = measure_folders(artifacts, option_values, command_for_report(line), limits, quiet=json_output)
    if out is not None:
        write_report(report, out)
    if json_output:
        say_model(report)
    else:
        print_report(report)
        if out is not None:
            say(f"report: {out / 'report.html'}, .md and .json")
    fail_if_unmeasured(report)
    measured = [row for row in report.rows if row.status == "measured"]
    if limits is not None:
        limits.judge(report, [row for row in measured if not row.is_baseline or len(artifacts) == 1])


def command_for_report(arguments: Sequence[str]) -> str:
    """The command line as a report shows it to others: full paths without the folders above."""
    words = []
    for argument in arguments:
        option, equals, value = argument.rpartition("=") if argument.startswith("--") else ("", "", argument)
        words.append(f"{option}{equals}{Path(value).name if Path(value).is_absolute() else value}")
    return shlex.join(["compress", *words])


def make_folder(out: Path) -> Path:
    """Make the report's folder before anything is measured, so that no measurement is lost."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write: {error.strerror or error}", where=f"--out {out}", fix="name a folder that can be written"
        ) from error
    return out


def measure_folders(
    artifacts: Sequence[Path], option_values: dict[str, Any], command: str, limits: gate.Gate | None, *, quiet: bool
) -> "Report":
    """The report of model folders, measured with the options of `measuring_options`.

    Args:
        limits: the gate; its largest drop is the margin up to which a model is no worse.
    """
    from compress.cli.console import Terminal
    from compress.recipe.schema import BenchSpec, Target, TaskSpec
    from compress.recipe.validation import Origin, validate
    from compress.running.bench_folders import bench_folders, default_runtimes

    unset = dict.fromkeys((*options.DATA_FIELDS, *(f"{role}_column" for role in options.COLUMN_ROLES)))
    task = options.take_data({**unset, **{name: value for name, value in option_values.items() if name in KEPT}})
    if "test" not in task:
        raise InputError("there are no test rows", where="the command line", fix="add --data FILE")
    settings = {name: value for name, value in option_values.items() if name not in KEPT}
    seed, specs = settings.pop("seed"), settings.pop("target") or []
    defaults = options.settings_from({name: settings.pop(name) for name in Target.model_fields})
    names_targets = bool(specs) or "runtime" in defaults
    if not names_targets:
        specs = default_runtimes(artifacts)
    origin = Origin()
    with Terminal(quiet=quiet) as terminal:
        return bench_folders(
            artifacts,
            validate(TaskSpec, task, origin, label="the options"),
            read_targets(specs, defaults),
            validate(BenchSpec, options.settings_from(settings), origin, label="the options"),
            seed,
            terminal.progress,
            command,
            limits.goal if limits else None,
            every_pair=names_targets,
        )


def read_targets(specs: Sequence[str], defaults: dict[str, Any]) -> "dict[str, Target]":
    """The targets by name, from texts of the form `RUNTIME,key=value,…`.

    Raises:
        InputError: a setting is unknown or does not fit, or two targets are the same.
    """
    from compress.recipe.schema import Target
    from compress.recipe.validation import Origin, validate

    if not specs:
        return {"bench": validate(Target, defaults, Origin(), label="the options")}
    targets: dict[str, Target] = {}
    for spec in specs:
        parts = [part.strip() for part in spec.split(",") if part.strip()]
        settings = dict(defaults)
        for number, part in enumerate(parts):
            key, equals, value = part.partition("=")
            if not equals and number:
                raise InputError(
                    f"'{part}' is no setting", where=f"--target {spec}", fix="write RUNTIME,key=value,key=value"
                )
            settings |= options.settings_from({key: value}) if equals else {"runtime": part}
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", spec).strip("-")
        if name in targets:
            raise InputError(f"the target '{spec}' is given twice", where="--target", fix="leave one out")
        targets[name] = validate(Target, settings, Origin(f"--target {spec}"), label="the target")
    return targets


def fail_if_unmeasured(report: "Report") -> None:
    """Print failures on stderr and exit with 1; rows that cannot run on their target are no failure if others can."""
    measured = [row for row in report.rows if row.status == "measured"]
    lost = [row for row in report.rows if row.status == "failed"] if measured else report.rows
    for row in lost:
        say(f"error: '{row.step}' on {row.target} {row.status}: {row.reason}", err=True)
    if lost:
        say(f"  fix:   {FIXES[lost[0].status]}", err=True)
        raise typer.Exit(1)
