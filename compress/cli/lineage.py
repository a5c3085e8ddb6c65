"""`compress lineage` and `compress reproduce`: where an artifact came from, and the recipe that makes it again."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from compress.cli.help_pages import KEEP, add_command
from compress.cli.options import Json
from compress.cli.saying import say, say_first, say_model, say_text
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.lineage.model import Data, Lineage, MadeStep, Measurements, Source

SHORT = 12
"""Digits shown of a hash."""
Folder: TypeAlias = Annotated[
    Path, typer.Argument(help="runs/NAME/final, runs/NAME/steps/STEP, or what --out wrote.", metavar="DIR")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(
        app,
        "lineage",
        lineage,
        KEEP,
        "compress lineage runs/quickstart/final",
        "compress lineage runs/quickstart/steps/student --json",
    )
    add_command(app, "reproduce", reproduce, KEEP, "compress reproduce runs/quickstart/final --out again.yaml")


def lineage(folder: Folder, json_output: Json = False) -> None:
    """Show where an artifact came from, and check its files; exit with 1 if one is not as it was made."""
    say_first(f"reading {folder}", quiet=json_output)
    from compress.files.whole import CARD, LINEAGE, foreign_entries
    from compress.lineage.ancestry import find_lineage
    from compress.lineage.model import changed_files

    record = find_lineage(folder)
    files = record.files
    changed = changed_files(folder, files)
    if json_output:
        say_model(record)
    else:
        added = [name for name in foreign_entries(folder, files) if name not in {CARD, LINEAGE}]
        _print(record, len(changed), added)
    for sentence in changed:
        say(f"error: {folder}: {sentence}", err=True)
    if changed:
        raise typer.Exit(1)


def reproduce(
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the recipe to this new file.")] = None,
) -> None:
    """Write the recipe that makes an artifact again, with every source pinned to what was read."""
    from compress.files.whole import write_text
    from compress.lineage.ancestry import find_lineage
    from compress.lineage.reproduce import doubts, pinned_recipe

    if out is not None and out.exists():
        raise InputError(f"'{out}' is there already", where="--out", fix="name another file")
    record = find_lineage(folder)
    text = pinned_recipe(record, str(folder))
    for doubt in doubts(record):
        say(f"warning: {doubt}", err=True)
    if out is None:
        say_text(text)
    else:
        write_text(out, text)
        say(f"recipe: {out}")


def _print(record: "Lineage", changed: int, added: list[str]) -> None:
    """Print the tree of an artifact: its figures, the step that made it, and all before it, down to the sources."""
    from rich.tree import Tree

    from compress.cli.screen import Screen

    final = record.final
    root = Tree(_line((final.name, "bold"), (f"  {final.format}  key {final.key[:SHORT]}", "")), guide_style="dim")
    recipe = f"recipe {record.name}, seed {record.seed}, compress {record.compress_version}, " if record.name else ""
    root.add(_line((f"{recipe}{record.created}", "")))
    summary = (f"files: {changed} not as they were made", "red") if changed else ("files: all as they were made", "")
    listed = root.add(_line(summary))
    for name, sha in record.files.items():
        listed.add(_line((f"{name}  ", ""), (sha[:SHORT], "dim")))
    for name in added:
        listed.add(_line((f"{name}  ", ""), ("added since", "yellow")))
    _add_figures(root, record)
    if record.data is not None:
        _add_data(root, record, record.data)
    alike = len({str((step.host, step.versions)) for step in record.steps}) == 1
    if alike:
        _add_host(root, "made on", final.host, final.versions)
    _add_step(root.add(_line(("made by", ""))), record, final, set(), alike)
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 80
    Screen(width=width).print(root)


def _add_figures(root: Any, record: "Lineage") -> None:
    from compress.answers import metric_title
    from compress.report.words import change, percent, quality_words, size_words, speed_words

    measured = record.measured
    if measured is None:
        root.add(_line((record.unmeasured or "", "yellow")))
        return
    metric = record.data.metric if record.data else ""
    for item in measured.targets:
        row = item.final
        branch = root.add(_line(("measured on ", ""), (item.described, "bold")))
        if row.score is None or row.p50_ms is None:
            branch.add(_line((f"{row.status}: {row.reason}", "yellow")))
            continue
        name = metric_title(metric)
        branch.add(
            _line((f"{name} {percent(row.score)}; {row.size_bytes / 1e6:.2f} MB; ", ""))
            + _line((f"p50 {row.p50_ms:.2f} ms, p90 {row.p90_ms:.2f} ms", ""))
        )
        if row.versus_baseline is not None:
            against = row.versus_baseline
            comparison = branch.add(_line((f"against {against.against}", "")))
            comparison.add(_line((f"{name} {change(against)} points; {quality_words(against, metric)}", "")))
            comparison.add(_line((f"{speed_words(against)}; {size_words(against)}", "")))
    _add_measuring(root, record, measured)


def _add_measuring(root: Any, record: "Lineage", measured: "Measurements") -> None:
    """Add the machine that measured, if another one made the artifact, and the goal."""
    versions = measured.host.get("versions", {})
    host = {name: value for name, value in measured.host.items() if name != "versions"}
    if (host, versions) != (record.final.host, record.final.versions):
        _add_host(root, "measured by", host, versions)
    root.add(_line((f"{measured.goal}; measured {measured.created}", "")))


def _add_data(root: Any, record: "Lineage", data: "Data") -> None:
    if not data.train_rows + data.test_rows:
        root.add(_line(("no rows were read", "")))
        return
    branch = root.add(_line((f"data: {data.task}, {len(data.labels)} labels", "")))
    rows = f"{data.train_rows:,} training and {data.validation_rows:,} validation rows  "
    branch.add(_line((rows, ""), (data.train_key[:SHORT], "dim")))
    branch.add(_line((f"{data.test_rows:,} test rows  ", ""), (data.test_key[:SHORT], "dim")))
    for source in record.sources:
        if source.kind == "table":
            parts = ", ".join(place.partition(".")[2] for place in source.places)
            branch.add(_source_line(parts, source))
    for note in data.notes:
        branch.add(_line((note, "yellow")))


def _add_host(root: Any, what: str, host: Mapping[str, Any], versions: Mapping[str, str]) -> None:
    branch = root.add(_line((f"{what} {host.get('cpu')}, {host.get('cores')} cores, {host.get('system')}", "")))
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    branch.add(_line((f"python {host.get('python')}, {packages}", "dim")))


def _add_step(
    branch: Any, record: "Lineage", step: "MadeStep", shown_steps: set[str], alike: bool, role: str = ""
) -> None:
    """Add a step and below it its inputs; a step that is in the tree already is only named."""
    head = f"{role}: " if role else ""
    stage = f"  {step.stage}  " if step.stage not in step.name else "  "
    line = _line((head, "dim"), (step.name, "bold"), (stage, ""), (step.key[:SHORT], "dim"))
    if step.name in shown_steps:
        branch.add(line + _line(("  (as above)", "dim")))
        return
    shown_steps.add(step.name)
    node = branch.add(line + _line((f"  {step.seconds:.1f} s", "dim")))
    if not alike:
        _add_host(node, "made on", step.host, step.versions)
    by_name = {other.name: other for other in record.steps}
    for name, value in step.inputs.items():
        source = record.source(value)
        if source is not None and f"{step.name}.{name}" in source.places:
            node.add(_source_line(name, source))
        elif value in by_name:
            _add_step(node, record, by_name[value], shown_steps, alike, name)


def _source_line(role: str, source: "Source") -> Any:
    origin = source.pinned if source.is_local else source.said
    pinned = f"  {source.pinned}" if source.pinned != origin else ""
    shas = list(source.files.values())
    key = shas[0] if len(shas) == 1 else source.key.partition(":")[2] or source.key
    key_text = f"  {key[:SHORT]}" if source.is_local or shas else ""
    return _line((origin, ""), (f"  {role}{pinned}{key_text}", "dim"))  # a long line is folded at its own indent


def _line(*parts: tuple[str, str]) -> Any:
    from compress.cli.screen import styled

    return styled(*parts)
