"""`compress init`: look at the data, and write a commented recipe that runs."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from compress.cli.help_pages import DATA, START, add_command
from compress.cli.options import Delimiter, Encoding, Json, Sheet
from compress.cli.saying import say, say_first, say_json
from compress.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from compress.planning.plan import Plan

PRESETS = ("search", "small", "strongest")
TextColumn: TypeAlias = Annotated[
    str | None, typer.Option("--text-column", metavar="NAME", help="Column of the texts.", rich_help_panel=DATA)
]
TextPairColumn: TypeAlias = Annotated[
    str | None,
    typer.Option("--text-pair-column", metavar="NAME", help="Column of the second texts.", rich_help_panel=DATA),
]
LabelColumn: TypeAlias = Annotated[
    str | None, typer.Option("--label-column", metavar="NAME", help="Column of the labels.", rich_help_panel=DATA)
]

Model: TypeAlias = Annotated[
    str, typer.Option("--model", help="A folder, hf://… or pypi://….", metavar="SOURCE", show_default=False)
]
Train: TypeAlias = Annotated[
    str,
    typer.Option(
        "--train",
        help="Training rows: a file, hf://… or pypi://….",
        metavar="SOURCE",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Test: TypeAlias = Annotated[
    str | None,
    typer.Option("--test", help="Test rows. Left out: a fifth of train.", metavar="SOURCE", rich_help_panel=DATA),
]
Finetune: TypeAlias = Annotated[
    bool, typer.Option("--finetune", help="Train the model on the data, even if it gives these labels already.")
]
AS_IT_IS = "the model gives these labels: it is taken as it is; --finetune trains it"
Preset: TypeAlias = Annotated[
    str,
    typer.Option(
        "--preset",
        metavar="|".join(PRESETS),
        help="search: the smallest model that is as good, found by itself. small: fixed steps, soon done. "
        "strongest: fixed steps, many times smaller and faster.",
    ),
]
Out: TypeAlias = Annotated[Path, typer.Option("--out", "-o", help="The recipe to write.", dir_okay=False)]
Overwrite: TypeAlias = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        "init",
        init,
        START,
        "compress init --model model/ --train reviews.csv",
        "compress init --model hf://org/name@main --train train.csv --test test.csv -o mine.yaml",
        "compress init --model model/ --train tickets.csv --label-column category --preset strongest",
    )


def init(
    model: Model,
    train: Train,
    test: Test = None,
    text_column: TextColumn = None,
    text_pair_column: TextPairColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    preset: Preset = "search",
    finetune: Finetune = False,
    out: Out = Path("recipe.yaml"),
    force: Overwrite = False,
    json_output: Json = False,
) -> None:
    """Look at the data, show what is what in it, and write a commented recipe that runs.

    Where two columns are as likely, it asks; without a terminal it refuses, and names the options.
    """
    say_first(f"reading {train}", quiet=json_output)
    from compress.cli.console import Terminal
    from compress.cli.survey import ask, fetch_material, is_interactive, print_survey, survey_facts
    from compress.files.whole import write_text
    from compress.planning.planner import make_plan
    from compress.recipe.reading import reading_of
    from compress.recipe.yaml_file import read_recipe
    from compress.starter import survey, write_starter
    from compress.starter.presets import PRESETS as WRITERS
    from compress.starter.roles import Wishes

    if out.exists() and not force:
        raise InputError(f"'{out}' is there already", where="--out", fix="name another file, or add --force")
    known_preset = next((name for name in WRITERS if name == preset), None)
    if known_preset is None:
        raise InputError(f"there is no preset '{preset:.40}'", where="--preset", fix=did_you_mean(preset, PRESETS))
    can_ask = is_interactive() and not json_output
    material = fetch_material(
        (model, train, test), reading_of(encoding, delimiter, sheet), can_ask=can_ask, quiet=json_output
    )
    data_survey = survey(material, Wishes(text_column, text_pair_column, label_column), ask if can_ask else None)
    with Terminal(quiet=json_output) as terminal:
        text = write_starter(material, data_survey, out, known_preset, finetune=finetune)
        recipe, origin = read_recipe(text.encode(), out)
        plan = make_plan(recipe, origin, terminal.announce)
        write_text(out, text)
    if json_output:
        rows = {"train": len(plan.task.train), "validation": len(plan.task.validation), "test": len(plan.task.test)}
        facts = {"recipe": str(out), "rows": rows, "labels": list(plan.task.labels), "notes": list(plan.task.notes)}
        trains = finetune or not data_survey.knows_labels
        say_json({**facts, "fine_tunes": trains, **survey_facts(data_survey)})
        return
    print_survey(data_survey)
    if data_survey.knows_labels and not finetune:
        say(AS_IT_IS)
    _say_what_next(plan, out)


def _say_what_next(plan: "Plan", out: Path) -> None:
    for note in plan.task.notes:
        say(f"note: {note}")
    say(f"wrote {out}: {len(plan.task.train):,} training rows, {len(plan.task.labels)} labels")
    name = shlex.quote(str(out))
    say(f"check it:  compress plan {name}")
    say(f"run it:    compress run {name}")
