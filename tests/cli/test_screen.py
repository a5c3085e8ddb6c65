"""What comes from outside is text on a terminal, whatever it says."""

import ast
import io
from pathlib import Path

import pytest
from rich.table import Table

import compress.cli
from compress.cli.console import Terminal
from compress.cli.saying import say, say_json, say_text
from compress.cli.screen import Screen, styled

ODD = {
    "m[/x]y": "m[/x]y",
    "int8[red]": "int8[red]",
    "[link=https://a.b]c[/link]": "[link=https://a.b]c[/link]",
    "\\[x": "\\[x",
    ":smile:": ":smile:",
    "a\x1b[31mb": "a\\x1b[31mb",
    "a\nerror: b": "a\\nerror: b",
    "\u202eabc": "\\u202eabc",
    "a\x9b31m": "a\\x9b31m",
    "a\u2028b": "a\\u2028b",
}


def drawn(*what: object) -> str:
    out = io.StringIO()
    Screen(file=out, width=200, force_terminal=False).print(*what)
    return out.getvalue()


@pytest.mark.parametrize(("text", "shown"), ODD.items())
def test_a_text_stands_for_itself_wherever_it_is_drawn(text: str, shown: str) -> None:
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    assert drawn(table).count(shown) == 3
    assert drawn(text) == f"{shown}\n"
    assert drawn(styled((text, "red"))) == f"{shown}\n"


@pytest.mark.parametrize(("text", "shown"), ODD.items())
def test_a_run_is_drawn_so(text: str, shown: str) -> None:
    terminal = Terminal()
    out = io.StringIO()
    terminal.console = Screen(file=out, width=200, force_terminal=True, no_color=True)
    with terminal:
        terminal.announce(text)
        terminal.warned(text)
        terminal.step_done(text, text, 1.0, True)
        terminal.progress(text, 1, 2)
        terminal._live.refresh()  # what the thread would draw next
    assert out.getvalue().count(shown) >= 5
    plain = io.StringIO()
    terminal = Terminal()
    terminal.console = Screen(file=plain, width=200)
    with terminal:
        terminal.step_started(text, text)
        terminal.progress(text, 1, 2)
    assert plain.getvalue() == f"{shown} ({shown}) …\n  {shown}: 1 of 2\n"


def test_lines_and_json_hold_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ODD:
        say(text)
    say_text("a\x1b\nb\u2028c\n")
    say_json(list(ODD))
    out = capsys.readouterr().out
    assert out.startswith("".join(f"{shown}\n" for shown in ODD.values()) + "a\\x1b\nb\\u2028c\n")
    assert all(char == "\n" or char.isprintable() for char in out)


def test_nothing_is_printed_past_these_ways() -> None:
    """`print`, `typer.echo` and a console of rich's own would let markup and control characters through."""
    found = []
    for path in Path(compress.cli.__file__).parent.glob("*.py"):
        if path.name in {"saying.py", "screen.py", "__init__.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "typer.echo", "Console"}:
                found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)[:80]}")
    assert found == []
