"""The lines of a search: the best so far and the time left, within 80 columns, and as events."""

import json
from pathlib import Path

import pytest

from compress.cli.console import Terminal
from compress.cli.search_lines import SearchLines
from compress.measurement import Estimate
from compress.search.candidates import Candidate
from compress.search.front import Standing
from compress.search.race import Looked
from compress.store.artifacts import Artifact


def looked(seconds_left, name="layers-4, 25% trained", drop=0.001, ms=123.456):
    standing = Standing(name, "layers", 0.9, ms, ms, 123_450_000)
    candidate = Candidate(name, "layers", "", ())
    return Looked(candidate, Artifact(Path(), "", "onnx"), standing, standing, Estimate(value=drop), "", seconds_left)


@pytest.fixture
def printed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def lines(*all_looked, force_terminal=False):
        terminal = Terminal()
        terminal.console._force_terminal = force_terminal
        listener = SearchLines(terminal, 1.0, "latency", json_output=False)
        for one in all_looked:
            listener(one)
        return capsys.readouterr().err.splitlines()

    return lines


def test_the_time_left_stands_at_the_end_of_the_line_within_80_columns(printed):
    best, worse, unknown = printed(looked(59 * 60), looked(20, drop=0.5), looked(None, ms=1.0))
    assert best.endswith("123.456 ms 123.45 MB  best, about 59 min left")
    assert worse.endswith("123.45 MB  about 20 s left")
    assert unknown.endswith("MB  best so far")
    assert max(map(len, (best, worse, unknown))) <= 80


def test_where_a_line_has_no_room_the_time_left_is_left_out(printed):
    (line,) = printed(looked(600, name="elastic-3x192x6x768, 25% trained"), force_terminal=True)
    assert "best so far" in line
    assert "min left" not in line


def test_programs_are_told_the_seconds(capsys):
    listener = SearchLines(Terminal(quiet=True), 1.0, "latency", json_output=True)
    for left in (90.5, None):
        listener(looked(left))
    assert [json.loads(line)["seconds_left"] for line in capsys.readouterr().out.splitlines()] == [90.5, None]


def test_the_bar_shows_the_time_of_the_whole_search(printed):
    terminal = Terminal()
    assert terminal._remaining_text() == ""
    terminal.candidate("a", 0.0, 1.0, 1.0, is_best=False, seconds_left=600)
    assert terminal._remaining_text() == "about 10 min left in all"
    terminal.candidate("a", 0.0, 1.0, 1.0, is_best=False, seconds_left=0)
    assert terminal._remaining_text() == ""
