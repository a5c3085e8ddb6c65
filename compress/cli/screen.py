"""Tables, bars and colours on a terminal: a text is a text there, never markup, an emoji, or a control character."""

from typing import Any

from rich.console import Console
from rich.text import Text

from compress.errors import printable


class Screen(Console):
    """A console on which a string means itself; colours are given beside it, as a style, or by `styled`.

    Strings in tables, titles and trees come through here too. A `Text` does not: make it with `styled`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """What every string becomes."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})


def styled(*parts: tuple[str, str]) -> Text:
    """A line of texts, each with its style; a long one is folded where it stands."""
    line = Text(overflow="fold")
    for text, style in parts:
        line.append(printable(text), style)
    return line


def stacked(*lines: str) -> Text:
    """Lines of one cell, below each other; empty ones are left out."""
    return Text("\n", overflow="fold").join(styled((line, "")) for line in lines if line)
