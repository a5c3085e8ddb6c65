"""Plain lines on stdout and stderr; what stands in them may come from outside."""

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from compress.errors import printable

if TYPE_CHECKING:
    from pydantic import BaseModel


def say(text: str = "", *, err: bool = False) -> None:
    """One line, in which control characters are written out."""
    typer.echo(printable(text), err=err)


def say_first(text: str, *, quiet: bool = False) -> None:
    """What is at work, said on a terminal before libraries are imported, which takes a while; nothing elsewhere."""
    if not quiet and sys.stderr.isatty():
        say(f"{text} …", err=True)


def say_text(text: str) -> None:
    """A text of several lines."""
    for line in text.rstrip("\n").split("\n"):
        say(line)


def say_json(value: Any) -> None:
    """A result for a program, in ASCII: nothing in it moves a terminal's cursor."""
    typer.echo(json.dumps(value, indent=1))


def say_json_line(value: Any) -> None:
    """The same in one line, as one of many."""
    typer.echo(json.dumps(value))


def say_model(model: "BaseModel") -> None:
    """The same of a model."""
    typer.echo(model.model_dump_json(indent=1, ensure_ascii=True))
