"""`compress report RUN` and `compress compare A B`."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli import gate, options
from compress.cli.bench import fail_if_unmeasured, make_folder, measure_folders, measuring_options, shown_line
from compress.cli.help_pages import MEASURE, OUTPUT, add_command
from compress.cli.options import Json
from compress.cli.saying import say, say_first, say_json, say_model
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.report.model import Comparison, Report, Row


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

    limits = gate.read_gate(max_drop_pp, min_speedup, max_size_mb, baseline)
    found = gate.load_report(run, "the command line")
    folder = out or (run if run.is_dir() else run.parent)
    if out is not None:
        write_report(found, make_folder(out))
    if json_output:
        say_model(found)
    else:
        print_report(found)
        if (folder / "report.html").is_file():
            say(f"report: {folder / 'report.html'}, .md and .json")
    last = found.rows[-1].step if found.rows else ""
    rows = [row for row in found.rows if row.step == last and row.status == "measured"]
    if limits is not None:
        limits.hold(found, rows[:1])


def compare(
    *,
    first: Path,
    second: Path,
    json_output: bool,
    max_drop_pp: float | None,
    min_speedup: float | None,
    max_size_mb: float | None,
    **given: Any,
) -> None:
    """Compare, print it in words and figures, exit with 3 if a gate is missed."""
    say_first(f"reading {first} and {second}", quiet=json_output)
    limits = gate.read_gate(max_drop_pp, min_speedup, max_size_mb)
    if _is_report(first) != _is_report(second):
        raise InputError(
            f"'{first}' and '{second}' are not of one kind",
            where="compress compare",
            fix="give two runs (folders with a report.json), or two model folders",
        )
    if _is_report(first):
        compared, row, whole, note = _from_reports(first, second)
    else:
        line = shown_line(["compare", str(first), str(second), "--data", str(given.get("test"))])
        whole = measure_folders([first, second], given, line, limits, quiet=json_output)
        fail_if_unmeasured(whole)
        row, compared = _measured_pair(whole)
        note = None
    if json_output:
        say_json({"step": row.step, **compared.model_dump(), "flips": [f.model_dump() for f in row.flips]})
    else:
        _print(compared, row, whole, note)
    row.versus_baseline = compared
    if limits is not None:
        limits.hold(whole, [row])


def _measured_pair(report: "Report") -> "tuple[Row, Comparison]":
    from compress.report.words import reasons

    for row in report.rows:
        if row.versus_baseline is not None:
            return row, row.versus_baseline
    raise InputError(
        f"nothing to compare: {'; '.join(reasons(report.rows))}",
        where="compress compare",
        fix="choose with --target what runs both",
    )


def _is_report(path: Path) -> bool:
    return path.suffix == ".json" or (path / "report.json").is_file()


def _from_reports(first: Path, second: Path) -> "tuple[Comparison, Row, Report, str | None]":
    one, two = gate.load_report(first, str(first)), gate.load_report(second, str(second))
    shared = [spec for spec in two.targets.values() if spec in one.targets.values()]
    if not shared:
        raise InputError(
            "the two runs have no target of the same settings",
            where=str(second),
            fix=f"their targets: {', '.join(one.targets)}; {', '.join(two.targets)}",
        )
    base, row = gate.last_row(one, shared[0], first), gate.last_row(two, shared[0], second)
    found = gate.compare_rows(one, base, two, row)
    found.against = f"{one.recipe}'s {base.step}"
    note = (
        "the two were timed in different runs, so the speed's interval does not hold the machine's drift between "
        "them; to time them side by side: compress compare MODEL MODEL --data FILE"
    )
    return found, row, two, note if found.speedup else None


def _print(found: "Comparison", row: "Row", report: "Report", note: str | None) -> None:
    from compress.report.words import change, quality_words, size_words, speed_words, times

    say(f"{row.step} against {found.against}, {found.rows:,} test rows")
    say(f"  speed    {speed_words(found).removeprefix('speed ')}")
    if found.end_to_end is not None:
        say(f"           {times(found.end_to_end)} end to end, with the tokenizer, on texts of their own length")
    say(f"  size     {size_words(found)}")
    say(f"  quality  {quality_words(found, report.test.metric)}")
    say(f"           {change(found)} points; McNemar p = {found.mcnemar_p:.3g}")
    say(f"  rows     {found.agreement:.2%} predicted alike; {found.lost} lost, {found.gained} gained")
    if note:
        say(f"note: {note}")
