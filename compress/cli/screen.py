"""Tables, bars and colours on a terminal, where no text is read as markup, an emoji, or a control character."""

from typing import Any

from rich.console import Console
from rich.text import Text

from compress.errors import printable


class Screen(Console):
    """A console that prints strings as they are; colours are given as a style, or by `styled`.

    That holds for strings in tables, titles and trees too, but not for a `Text`: make it with `styled`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The printable text of a string."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})


def styled(*parts: tuple[str, str]) -> Text:
    """A line of texts, each with its style; a long one is folded where it stands."""
    line = Text(overflow="fold")
    for text, style in parts:
        line.append(printable(text), style)
    return line


def stacked(*lines: str) -> Text:
    """The lines of one cell, below each other, without empty ones."""
    return Text("\n", overflow="fold").join(styled((line, "")) for line in lines if line)
