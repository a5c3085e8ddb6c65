"""`compress store list | show | verify | gc`: the artifacts of finished steps that the store keeps."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.help_pages import KEEP, Group, add_command
from compress.cli.options import Json
from compress.cli.run import RunsDir
from compress.cli.saying import say, say_json
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.store.inventory import Item
    from compress.store.store import Store


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        suggest_commands=False,
        help="What is kept of finished steps: list it, look at it, check it, clean it up.",
        cls=Group,
        epilog="compress store list --runs-dir runs",
        rich_markup_mode=None,
    )
    add_command(group, "list", list_items, None, "compress store list", "compress store list --runs-dir old --json")
    add_command(group, "show", show, None, "compress store show finetune-3f2a")
    add_command(group, "verify", verify, None, "compress store verify")
    add_command(group, "gc", collect, None, "compress store gc --dry-run", "compress store gc --yes")
    app.add_typer(group, name="store", rich_help_panel=KEEP)


def list_items(runs_dir: RunsDir = Path("runs"), json_output: Json = False) -> None:
    """List the artifacts, their sizes, and the runs that name them."""
    _, items = _inventory(runs_dir)
    if json_output:
        say_json([_item_json(item) for item in items])
        return
    for item in items:
        say(_line(item))
    total = sum(item.size_bytes for item in items)
    say(f"{len(items)} artifacts, {total / 1e6:.1f} MB; {sum(not item.named_by for item in items)} named by no run")


def show(
    key: Annotated[str, typer.Argument(help="The head of a key, or of a folder's name.", metavar="KEY")],
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Print an artifact's manifest as JSON, with the runs that name it."""
    from compress.store.inventory import find

    item = find(_inventory(runs_dir)[1], key)
    manifest = item.artifact.manifest.model_dump() if item.artifact and item.artifact.manifest else None
    say_json({**_item_json(item), "manifest": manifest})


def verify(runs_dir: RunsDir = Path("runs"), json_output: Json = False) -> None:
    """Read every file and compare it with its manifest; exit with 1 if one is damaged."""
    from compress.store.inventory import verify as look

    _, items = _inventory(runs_dir)
    damaged = {item.path.name: damage for item in items if (damage := look(item)) is not None}
    if json_output:
        say_json({"checked": len(items), "damaged": damaged})
    else:
        say(f"{len(items)} artifacts checked, {len(damaged)} damaged")
    for name, damage in damaged.items():
        say(f"error: {name}: {damage}; the next run that needs it sets it aside and makes it again", err=True)
    if damaged:
        raise typer.Exit(1)


def collect(
    runs_dir: RunsDir = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json_output: Json = False,
) -> None:
    """Remove what no run names; it can be made again."""
    from compress.store.inventory import remove, unnamed

    store, items = _inventory(runs_dir)
    loose = unnamed(store, items, runs_dir)
    size = sum(item.size_bytes for item in loose) / 1e6
    if not json_output:
        for item in loose:
            say(_line(item))
        say(f"{len(loose)} folders that no run names, {size:.1f} MB")
    removed: list[Item] = []
    busy: list[Item] = []
    if loose and not dry_run:
        _ask(f"remove these {len(loose)} folders?", yes=yes)
        removed, busy = remove(store, loose)
    if json_output:
        groups = {"found": loose, "removed": removed, "busy": busy}
        say_json({name: [_item_json(item) for item in group] for name, group in groups.items()})
    elif removed or busy:
        say(f"removed {len(removed)}" + (f"; {len(busy)} are in use by another run" if busy else ""))


def _ask(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("nobody is there to ask", where="compress store gc", fix="add --yes, or look first: --dry-run")
    typer.confirm(question, abort=True, err=True)


def _inventory(runs_dir: Path) -> "tuple[Store, list[Item]]":
    from compress.running.folder import open_store
    from compress.store.inventory import take_inventory

    store = open_store(runs_dir)
    if not store.root.is_dir():
        raise InputError(f"there is no store in '{runs_dir}'", where="--runs-dir", fix="name the folder of your runs")
    return store, take_inventory(store, runs_dir)


def _line(item: "Item") -> str:
    runs = ", ".join(item.named_by) or "-"
    return f"{item.path.name:<42} {item.size_bytes / 1e6:>9.1f} MB  {item.damage or runs}"


def _item_json(item: "Item") -> dict[str, Any]:
    return {
        "folder": str(item.path),
        "key": item.artifact.key if item.artifact else None,
        "format": item.artifact.format if item.artifact else None,
        "size_bytes": item.size_bytes,
        "named_by": list(item.named_by),
        "damage": item.damage,
    }
