"""Runs the command line in this process, in a folder of its own, and takes its errors apart."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from compress.cli import main
from tests.fresh import fork_children


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Refusal:
    """An error's three parts."""

    what: str
    where: str
    fix: str


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    fork_children(monkeypatch)
    monkeypatch.delenv("COLUMNS", raising=False)
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(exit_.value.code, int)
        return Said(exit_.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def refused(cli: Callable[..., Said]) -> Callable[..., Refusal]:
    """The error of a command that fails: on stderr alone, of at most six lines, and no traceback."""

    def refuse(*arguments: object, code: int = 2) -> Refusal:
        said = cli(*arguments)
        assert said.code == code, said
        assert said.out == ""
        assert "Traceback" not in said.err
        lines = said.err[said.err.index("error: ") :].splitlines()
        assert len(lines) <= 6, said.err
        parts = {line[:9]: line[9:] for line in lines[1:]}
        assert set(parts) <= {"  where: ", "  fix:   "}, said.err
        assert parts["  fix:   "], said.err
        return Refusal(lines[0].removeprefix("error: "), parts.get("  where: ", ""), parts["  fix:   "])

    return refuse
