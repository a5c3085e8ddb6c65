"""`compress report RUN` and `compress compare A B`."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli import gate, options
from compress.cli.bench import command_for_report, fail_if_unmeasured, make_folder, measure_folders, measuring_options
from compress.cli.help_pages import MEASURE, OUTPUT, add_command
from compress.cli.options import Json
from compress.cli.saying import say, say_first, say_json, say_model

if TYPE_CHECKING:
    from compress.report.two_reports import Compared


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(
        app,
        "report",
        report,
        MEASURE,
        "compress report runs/quickstart",
        "compress report runs/quickstart --min-speedup 8 --max-drop-pp 1",
        "compress report runs/quickstart --out page/      # writes the page anew",
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(name, keyword, annotation=Annotated[Path, typer.Argument(help=text, metavar=name.upper())])
        for name, text in (
            ("first", "A run's folder, its report.json, or a model folder: what the other is held against."),
            ("second", "A run's folder, its report.json, or a model folder."),
        )
    ]
    limits = [
        inspect.Parameter("max_drop_pp", keyword, default=None, annotation=gate.MaxDrop),
        inspect.Parameter("min_speedup", keyword, default=None, annotation=gate.MinSpeedup),
        inspect.Parameter("min_end_to_end_speedup", keyword, default=None, annotation=gate.MinEndToEndSpeedup),
        inspect.Parameter("max_size_mb", keyword, default=None, annotation=gate.MaxSize),
        inspect.Parameter("json_output", keyword, default=False, annotation=Json),
    ]
    help_text = (
        "Compare two runs, or two model folders.\n\n"
        "Two runs are compared by their last steps, out of their reports: nothing is measured anew. "
        "Two model folders are measured side by side; they need --data."
    )
    add_command(
        app,
        "compare",
        options.with_signature(compare, [*parameters, *measuring_options(), *limits], help_text),
        MEASURE,
        "compress compare runs/main runs/mine --max-drop-pp 0.5",
        "compress compare teacher/ student/ --data test.csv --threads 2",
    )


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder, or its report.json.", metavar="RUN")],
    max_drop_pp: gate.MaxDrop = None,
    min_speedup: gate.MinSpeedup = None,
    min_end_to_end_speedup: gate.MinEndToEndSpeedup = None,
    max_size_mb: gate.MaxSize = None,
    baseline: gate.Baseline = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write report.html, .md and .json into this folder.",
            file_okay=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Show a run's report again; with limits, judge it. The run is left as it is: --out writes the page anew."""
    say_first(f"reading {run}", quiet=json_output)
    from compress.cli.console import print_report
    from compress.report.files import write_report
    from compress.report.two_reports import load_report

    limits = gate.read_gate(max_drop_pp, min_speedup, min_end_to_end_speedup, max_size_mb, baseline)
    loaded = load_report(run, "the command line")
    folder = out or (run if run.is_dir() else run.parent)
    if out is not None:
        write_report(loaded, make_folder(out))
    if json_output:
        say_model(loaded)
    else:
        print_report(loaded)
        if (folder / "report.html").is_file():
            say(f"report: {folder / 'report.html'}, .md and .json")
    last = loaded.rows[-1].step if loaded.rows else ""
    rows = [row for row in loaded.rows if row.step == last and row.status == "measured"]
    if limits is not None:
        limits.judge(loaded, rows[:1])


def compare(
    *,
    first: Path,
    second: Path,
    json_output: bool,
    max_drop_pp: float | None,
    min_speedup: float | None,
    min_end_to_end_speedup: float | None,
    max_size_mb: float | None,
    **option_values: Any,
) -> None:
    """Compare two runs or models, print the result, and exit with 3 if a gate is missed."""
    say_first(f"reading {first} and {second}", quiet=json_output)
    from compress.report.two_reports import check_one_kind, compare_reports, compared_pair, is_report

    limits = gate.read_gate(max_drop_pp, min_speedup, min_end_to_end_speedup, max_size_mb)
    check_one_kind(first, second)
    if is_report(first):
        compared = compare_reports(first, second)
    else:
        line = command_for_report(["compare", str(first), str(second), "--data", str(option_values.get("test"))])
        measured = measure_folders([first, second], option_values, line, limits, quiet=json_output)
        fail_if_unmeasured(measured)
        compared = compared_pair(measured)
    row, comparison = compared.row, compared.comparison
    if json_output:
        say_json({"step": row.step, **comparison.model_dump(), "flips": [f.model_dump() for f in row.flips]})
    else:
        _print(compared)
    row.versus_baseline = comparison
    if limits is not None:
        limits.judge(compared.report, [row])


def _print(compared: "Compared") -> None:
    from compress.report.words import change, quality_words, size_words, speed_words, times

    row, comparison = compared.row, compared.comparison
    say(f"{row.step} against {comparison.against}, {comparison.rows:,} test rows")
    say(f"  speed    {speed_words(comparison).removeprefix('speed ')}")
    if comparison.end_to_end is not None:
        say(f"           {times(comparison.end_to_end)} end to end, with the tokenizer, on texts of their own length")
    say(f"  size     {size_words(comparison)}")
    say(f"  quality  {quality_words(comparison, compared.report.test.metric)}")
    test = "McNemar" if compared.report.test.words.are_right else "sign test,"
    say(f"           {change(comparison)} points; {test} p = {comparison.mcnemar_p:.3g}")
    say(f"  rows     {comparison.agreement:.2%} predicted alike; {comparison.lost} lost, {comparison.gained} gained")
    if compared.note:
        say(f"note: {compared.note}")
