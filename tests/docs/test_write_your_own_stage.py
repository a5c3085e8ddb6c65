"""Runs what docs/write-your-own-stage.md shows: its stage as an installed package, its test, commands and recipe."""

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compress import api, stages
from compress.errors import InputError
from compress.lineage.model import read_lineage
from compress.lineage.reproduce import doubts, pinned_recipe

PAGE = Path(__file__).parents[2] / "docs" / "write-your-own-stage.md"
BLOCK = re.compile(r"^(`{3,4})(\w+)\n(.*?)^\1$", re.DOTALL | re.MULTILINE)


def files() -> dict[str, str]:
    """The page's files by the name in their first line."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = [content for _, language, content in BLOCK.findall(text) if language != "console"]
    return {content.partition("\n")[0].removeprefix("# "): content.partition("\n")[2] for content in blocks}


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Any, torch_folder: Path, reviews: Path
) -> Iterator[Path]:
    """A folder with the page's files, a model and rows; the package is installed."""
    project = tomllib.loads(files()["pyproject.toml"])["project"]
    site = install(project["name"], project["entry-points"], project["version"])
    for name, content in files().items():
        path = (site if name.startswith("shrinker/") else tmp_path) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "model").symlink_to(torch_folder)
    for rows in ("train.csv", "test.csv"):
        (tmp_path / rows).symlink_to(reviews / rows)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for module in [name for name in sys.modules if name.partition(".")[0] == "shrinker"]:
        del sys.modules[module]


def test_the_page_holds_the_files_that_it_speaks_of() -> None:
    assert list(files()) == ["shrinker/drop_layers.py", "pyproject.toml", "recipe.yaml", "tests/test_drop_layers.py"]
    assert all(len(line) <= 120 for line in PAGE.read_text(encoding="utf-8").splitlines() if not line.startswith("|"))


def test_the_stages_test_passes_and_the_recipe_plans(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(workplace / "tests")
    tests = importlib.import_module("test_drop_layers")
    names = [name for name in vars(tests) if name.startswith("test_")]
    assert len(names) == 2
    for name in names:
        getattr(tests, name)(workplace / name)
    outlook = api.plan("recipe.yaml")
    assert [step.stage_name for step in outlook.plan.steps][:4] == [
        "finetune",
        "drop_layers",
        "finetune",
        "export_onnx",
    ]
    step = outlook.plan.step("shallow")
    assert step.identity.package == "shrinker"
    assert step.shape.layers == 1
    plugin = stages.REGISTRY.plugin("drop_layers")
    assert str(plugin) == "shrinker 1.0"
    del sys.modules["test_drop_layers"]


def test_the_lineage_says_which_package_is_needed(workplace: Path) -> None:
    step = {"name": "shallow", "stage": "drop_layers", "model": "model/", "layers": 1}
    result = api.run({"name": "shallow", "task": {}, "steps": [step]})
    manifest = result.artifacts["shallow"].manifest
    assert manifest is not None
    assert manifest.package == "shrinker"
    assert manifest.versions["shrinker"] == "1.0"
    lineage = read_lineage(result.folder / "final")
    assert lineage.packages == {"shrinker": "1.0"}
    assert "shrinker 1.0" in pinned_recipe(lineage, "final").partition("\n\n")[0]
    assert doubts(lineage) == []
    others = lineage.model_copy(update={"packages": {"shrinker": "0.9", "deflater": "2.0"}})
    assert doubts(others) == [
        "it was made with the package shrinker 0.9, which is 1.0 here",
        "it needs the package deflater 2.0, which is not here: pip install deflater==2.0",
    ]
    on_its_runtime = others.model_copy(update={"recipe": f"{lineage.recipe}targets: {{t: {{runtime: deflating}}}}\n"})
    with pytest.raises(InputError, match=r"^its recipe needs the package deflater 2\.0, which is not here") as refused:
        pinned_recipe(on_its_runtime, "final")
    assert refused.value.fix == "pip install deflater==2.0"


@pytest.mark.slow
def test_the_commands_of_the_page_run(workplace: Path) -> None:
    (console,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    commands = [shlex.split(line.removeprefix("$ ")) for line in console.splitlines()]
    assert [command[:2] for command in commands] == [["compress", "drop"], ["compress", "run"]]
    for _, *arguments in commands:
        done = subprocess.run(
            [sys.executable, "-m", "compress", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (workplace / "shallow" / "model.safetensors").is_file()
    assert (workplace / "runs" / "shallow" / "report.json").is_file()
