"""Python that we start imports nothing from the current folder, where a checkout may have a `json.py`."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import compress
from compress.cli import main

SHADOW = "open('ran', 'a').write(__name__ + ' ')\n"
SHADOWS = "argparse ast datasets email json logging multiprocessing numpy pickle pip random rich torch typer yaml"


def test_every_python_that_is_started_leaves_the_current_folder_out() -> None:
    found = []
    for path in Path(compress.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            items = [ast.unparse(item) for item in node.elts] if isinstance(node, ast.List | ast.Tuple) else []
            if items[:1] == ["sys.executable"]:
                found.append((path.name, items[1]))
    assert len(found) >= 4
    assert {option for _, option in found} == {"'-P'"}


@pytest.mark.parametrize("before", [None, "x"])
def test_so_does_python_that_libraries_start(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if before:
        monkeypatch.setenv("PYTHONSAFEPATH", before)
    seen = []
    monkeypatch.setattr("compress.cli.app", lambda **_: seen.append(os.environ["PYTHONSAFEPATH"]) or 0)
    with pytest.raises(SystemExit):
        main(["recipes"])
    assert seen == ["1"]
    assert os.environ.get("PYTHONSAFEPATH") == before


@pytest.mark.slow
@pytest.mark.parametrize("command", [["-P", "-m", "compress"], [str(Path(sys.executable).with_name("compress"))]])
def test_modules_beside_a_recipe_are_not_run(tmp_path: Path, command: list[str]) -> None:
    for name in SHADOWS.split():
        (tmp_path / f"{name}.py").write_text(SHADOW)
    (tmp_path / "rows.csv").write_text("text,label\n" + "a b c,x\nd e f,y\n" * 20)
    (tmp_path / "r.yaml").write_text(
        "name: a\ntask: {train: rows.csv, test_fraction: 0.2, overlap: allow}\n"
        "steps: [{name: t, stage: finetune, model: none}]\n"
    )
    told = subprocess.run(
        [sys.executable, *command, "plan", "r.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "the model 'none' does not exist" in told.stderr
    assert not (tmp_path / "ran").exists()
