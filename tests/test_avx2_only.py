"""`python -m avx2_only`: what it hides, and what it does where there is nothing to hide or nothing can be hidden."""

import shutil
import sys
from pathlib import Path

import pytest

import avx2_only
from avx2_only.__main__ import main
from tests.processors import sums_in_32_bits

SEVEN = ["-c", "raise SystemExit(7)"]
FLAGS = "import sys; from compress.machine.processor import instruction_sets as sets; sys.exit(sets() != ['avx2'])"


def test_without_a_command_it_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--again"]) == 2
    assert "usage: python -m avx2_only [--again] ARGUMENTS OF PYTHON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("isa", "system", "why"),
    [
        (["asimd"], "linux", "is no Linux with AVX2"),
        ([], "win32", "is no Linux with AVX2"),
        (["avx2", "avx512_vnni"], "darwin", "is no Linux with AVX2"),
        (["avx2", "avx512_vnni"], "linux", "there is no objdump"),
    ],
)
def test_where_nothing_can_be_hidden_it_says_so_and_runs_nothing(
    isa: list[str], system: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def plant(folder: Path) -> None:
        avx2_only._run(["objdump"])

    monkeypatch.setattr(avx2_only, "instruction_sets", lambda: isa)
    monkeypatch.setattr(avx2_only, "_plant", plant)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert main(SEVEN) == 1
    assert main(["--again", *SEVEN]) == 0
    said = capsys.readouterr().err
    assert said.count("AVX2 alone cannot be shown here: ") == said.count(why) == said.count("  fix:   ") == 2


def test_where_there_is_nothing_to_hide_it_runs_as_it_is_and_not_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)  # of the suite itself, if it runs so
    monkeypatch.setattr(avx2_only, "instruction_sets", lambda: ["avx2"])
    monkeypatch.setattr(avx2_only, "proof", lambda environment: {"product": avx2_only.CUT, "variables": environment})
    assert main(["-c", "import os; raise SystemExit('LD_PRELOAD' in os.environ)"]) == 0
    assert main(SEVEN) == 7
    assert main(["--again", *SEVEN]) == 0
    said = capfd.readouterr().out
    assert said.count('proof: {"product": 1048544, "variables": {}}') == 3
    assert said.endswith("not run again: this is how it has been run\n")


def test_a_process_that_does_not_see_and_compute_what_it_should_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avx2_only, "CUT", 1)
    with pytest.raises(avx2_only.CompressError, match=r"a process that should see AVX2 alone (sees|does not start)"):
        avx2_only.proof({})


@pytest.mark.slow
@sums_in_32_bits
def test_a_command_sees_avx2_alone_and_its_exit_code_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--again", "-c", FLAGS]) == 0
    said = capfd.readouterr().out
    assert f'"product": {avx2_only.CUT}, "exact": {avx2_only.EXACT}' in said
