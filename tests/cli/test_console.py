"""What a run shows while it goes on: on a terminal, and where lines are kept."""

import io
import logging
import re
from collections.abc import Callable, Iterator

import pytest

from compress.cli.console import Terminal
from compress.cli.saying import say_first
from compress.cli.screen import Screen

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(autouse=True)
def _details_are_logged() -> Iterator[None]:
    """As in a run, whose journal sees to it."""
    own = logging.getLogger("compress")
    level = own.level
    own.setLevel(logging.INFO)
    yield
    own.setLevel(level)


def terminal_on(out: io.StringIO, *, is_terminal: bool) -> Terminal:
    terminal = Terminal()
    terminal.console = Screen(file=out, width=80, force_terminal=is_terminal)
    return terminal


def train(terminal: Terminal, after_each: Callable[[], None] = lambda: None) -> None:
    """A chain of two steps, of which the first is done and the second at work."""
    terminal.expect(["teacher", "student"], {"teacher": 100.0, "student": 240.0, "bench": 60.0})
    terminal.step_started("teacher", "finetune")
    after_each()
    terminal.step_done("teacher", "finetune", 99.0, True)
    terminal.step_started("student", "distill")
    after_each()
    terminal.progress("distilling", 1, 4)
    logging.getLogger("compress.training.loop").info("a step", extra={"loss": 0.4123})
    terminal.progress("distilling", 2, 4)
    after_each()


def test_a_terminal_names_the_step_what_it_does_its_loss_and_what_is_left_in_all() -> None:
    out = io.StringIO()
    terminal = terminal_on(out, is_terminal=True)

    def draw() -> None:
        assert terminal._live is not None
        terminal._live.refresh()  # what the thread would draw next
        out.write("\n")

    with terminal:
        train(terminal, draw)
    lines = [COLOURS.sub("", line).strip() for line in re.split(r"[\r\n]+", out.getvalue())]
    assert "teacher, step 1 of 2; about 7 min left in all" in lines
    assert "student, step 2 of 2; about 5 min left in all" in lines
    assert any(re.fullmatch(r"distilling \S+ +50% [-:\d]+ left loss 0\.412", line) for line in lines), lines
    assert max(map(len, lines)) <= 80
    assert "✓ teacher              finetune                 99.0 s" in lines


def test_without_a_forecast_a_terminal_promises_nothing() -> None:
    out = io.StringIO()
    terminal = terminal_on(out, is_terminal=True)
    with terminal:
        terminal.expect(["teacher", "student"], {})
        terminal.step_started("student", "distill")
        terminal.step_started("bench", "bench")
        assert terminal._live is not None
        terminal._live.refresh()
    shown = COLOURS.sub("", out.getvalue())
    assert "student, step 2 of 2" in shown
    assert "measuring" in shown
    assert "in all" not in shown


def test_plain_lines_say_the_same_and_are_not_broken() -> None:
    out = io.StringIO()
    terminal = terminal_on(out, is_terminal=False)
    with terminal:
        train(terminal)
        terminal._last_plain = -100.0
        terminal.progress("distilling", 3, 4)
        terminal.warned("word " * 30)
    assert out.getvalue().splitlines() == [
        "teacher (finetune), step 1 of 2 …",
        "✓ teacher              finetune                 99.0 s",
        "student (distill), step 2 of 2 …",
        "  distilling: 1 of 4; about 5 min left in all",
        "  distilling: 3 of 4; loss 0.412; about 5 min left in all",
        "warning: " + "word " * 30,
    ]


def test_a_single_step_has_no_number() -> None:
    out = io.StringIO()
    terminal = terminal_on(out, is_terminal=False)
    with terminal:
        terminal.expect(["quantize"], {})
        terminal.step_started("quantize", "quantize_onnx_dynamic")
    assert out.getvalue() == "quantize (quantize_onnx_dynamic) …\n"


def test_the_first_words_are_for_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say_first("reading a.yaml")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    say_first("reading a.yaml", quiet=True)
    assert capsys.readouterr() == ("", "")
    say_first("reading a\x1b.yaml")
    assert capsys.readouterr() == ("", "reading a\\x1b.yaml …\n")
