"""What the system refuses is told in one sentence with a fix, never as a bug."""

import errno
import os
from pathlib import Path

import pytest

from compress.cli import main

LONG = "n" * 300


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code, and what stands on stderr."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(str(caught.value.code)), capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", f"{LONG}.yaml"],
        ["run", f"{LONG}.yaml"],
        ["report", LONG],
        ["lineage", LONG],
        ["reproduce", LONG],
        ["store", "list", "--runs-dir", LONG],
        ["doctor", "d/" * 3000],
        ["bench", LONG, "--data", "x.csv"],
        ["export", "m", "-o", LONG],
    ],
)
def test_a_path_that_is_too_long_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, told = error_of(arguments, capsys)
    assert code == 2
    assert "too long" in told
    assert "  fix:   " in told
    assert "unexpected" not in told


def test_a_working_folder_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, told = error_of(["plan", "r.yaml"], capsys)
    assert code == 2
    assert told.startswith(
        "error: the working folder cannot be read: No such file or directory\n  fix:   it may be gone"
    )


def test_a_folder_that_may_not_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/closed/r.yaml")

    monkeypatch.setattr(Path, "exists", refuse)
    code, told = error_of(["plan", "/closed/r.yaml"], capsys)
    assert code == 1
    assert told.startswith("error: the system refuses: Permission denied\n  where: /closed/r.yaml\n")


def test_a_recipe_that_never_ends_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "r.yaml")
    code, told = error_of(["plan", str(tmp_path / "r.yaml")], capsys)
    assert code == 2
    assert "the recipe is no plain file" in told
