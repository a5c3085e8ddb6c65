"""`compress recipes` and `compress schema`: the shipped recipes, and the JSON Schema for editors."""

from pathlib import Path

import typer

from compress.cli.help_pages import START, add_command
from compress.cli.options import Json
from compress.cli.saying import say, say_json
from compress.cli.verbs import warn_of_refused
from compress.recipe.shipped import shipped, shipped_folder


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, "recipes", list_recipes, START, "compress recipes", "compress recipes --json")
    add_command(app, "schema", schema, START, "compress schema > schema.json    # for an editor that completes YAML")


def complete_recipe(incomplete: str) -> list[str]:
    """The completions that a shell offers for a recipe: shipped ones by name, and the user's files and folders."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        entries = []
    files = [str(path) for path in entries if path.suffix in {".yaml", ".yml"}]
    folders = [f"{path}/" for path in entries if path.is_dir()]
    return [name for name in [*shipped(), *files, *folders] if name.startswith(incomplete)]


def list_recipes(json_output: Json = False) -> None:
    """List the shipped recipes."""
    about = {name: _about(path) for name, path in shipped().items()}
    if json_output:
        entries = [{"name": name, "about": text, "path": str(shipped()[name])} for name, text in about.items()]
        say_json(entries)
        return
    for name, text in about.items():
        say(f"{name:<32} {text}")
    say()
    say(f"run one:  compress run {next(iter(shipped()))}")
    say(f"they are: {shipped_folder()}")


def _about(path: Path) -> str:
    """A recipe's first comment."""
    comments = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    return next((line for line in comments if line and not line.startswith("yaml-language-server")), "")


def schema() -> None:
    """Print the recipe's JSON Schema."""
    from compress.planning.json_schema import recipe_schema

    warn_of_refused()
    say_json(recipe_schema())
