"""Plain lines on stdout and stderr, safe for a terminal even where they hold texts from outside."""

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from compress.errors import printable

if TYPE_CHECKING:
    from pydantic import BaseModel


def say(text: str = "", *, err: bool = False) -> None:
    """Print one line, in which control characters are written out."""
    typer.echo(printable(text), err=err)


def say_first(text: str, *, quiet: bool = False) -> None:
    """Print on a terminal, and nowhere else, what the command does before it imports libraries, which takes a while."""
    if not quiet and sys.stderr.isatty():
        say(f"{text} …", err=True)


def say_text(text: str) -> None:
    """Print a text of several lines."""
    for line in text.rstrip("\n").split("\n"):
        say(line)


def say_json(value: Any) -> None:
    """Print a result for programs as JSON in ASCII, in which nothing moves a terminal's cursor."""
    typer.echo(json.dumps(value, indent=1))


def say_json_line(value: Any) -> None:
    """Print one of many results as JSON in one line."""
    typer.echo(json.dumps(value))


def say_model(model: "BaseModel") -> None:
    """Print a pydantic model as JSON."""
    typer.echo(model.model_dump_json(indent=1, ensure_ascii=True))
