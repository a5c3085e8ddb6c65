"""What the distribution says of itself: its name, what it needs, and what it carries."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from compress import extras
from compress.errors import InputError

ROOT = Path(__file__).parents[1]
NAME = "compress-models"
UNIMPORTED = {
    "accelerate": "the Trainer of transformers needs it",
    "onnx-ir": "onnxruntime.quantization imports it",
    "requests": "optimum.exporters.tasks imports it",
}
"""What is needed without an import of our own, and by whom."""
PLACES = ("*.md", "docs/**/*", "examples/**/*", "recipes/**/*", "benchmarks/*/README.md", "compress/**/*")
TEXTS = [
    path
    for place in PLACES
    for path in ROOT.glob(place)
    if path.suffix in {".md", ".py", ".yaml", ".j2", ".txt", ".toml"}
]
_INSTALLED = re.compile(r"pip install[^`\n]*?[\s\"'](compress[\w-]*)")
_WITH_EXTRA = re.compile(r"\b(compress[\w-]*)\[(\w+)\]")


@cache
def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
    return found


def needs(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def imports() -> Iterator[tuple[Path, str, bool]]:
    """The file, the top package and whether it is imported with the file, of each import of a package of others."""
    for path in sorted((ROOT / "compress").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at_once = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in {"compress", "__future__"}:
                    yield path, top, id(node) in at_once


def test_the_distributions_name_is_ours_and_import_and_command_are_short() -> None:
    assert project()["name"] == extras.DISTRIBUTION == NAME
    assert project()["scripts"] == {"compress": "compress.cli:main"}


def test_the_extras_are_those_that_errors_name() -> None:
    declared = project()["optional-dependencies"]
    assert set(declared) == {*extras.EXTRAS, "dev"}
    assert all(needs(declared[extra]) == {extra} for extra in extras.EXTRAS)
    (own,) = [Requirement(line) for line in declared["dev"] if canonicalize_name(Requirement(line).name) == NAME]
    assert own.extras == set(extras.EXTRAS)


def test_every_text_that_says_how_to_install_names_the_distribution() -> None:
    assert len(TEXTS) > 150
    named = [(path, name) for path in TEXTS for name in _INSTALLED.findall(path.read_text(encoding="utf-8"))]
    assert {path.name for path, _ in named} >= {"README.md"}
    assert [(path, name) for path, name in named if name != NAME] == []
    asked = [(path, *found) for path in TEXTS for found in _WITH_EXTRA.findall(path.read_text(encoding="utf-8"))]
    assert [found for found in asked if found[1] != NAME or found[2] not in {*extras.EXTRAS, "dev"}] == []


def test_every_package_that_is_imported_is_declared() -> None:
    core = needs(project()["dependencies"])
    of_module = packages_distributions()
    imported = set()
    for path, module, at_once in imports():
        names = {canonicalize_name(name) for name in of_module.get(module, ())}
        if module in extras.EXTRAS:
            assert not at_once, f"{path} imports the extra {module} with the file, so nobody can go without it"
            assert "from compress.extras import" in path.read_text(encoding="utf-8"), f"{path}: {module} may be missing"
            continue
        assert names & core, f"{path} imports {module}, which the core does not declare"
        imported |= names & core
    assert core - imported == set(UNIMPORTED)


def test_an_extra_that_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    extras.need("datasets", "a data set of the hub", None)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        extras.need("datasets", "a data set of the hub", "task.train")
    assert caught.value.fix == 'pip install "compress-models[datasets]"'
    assert "needs the package datasets" in str(caught.value)
    with pytest.raises(ValueError, match="no extra"):
        extras.install_command("plots")


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "compress" / "py.typed").is_file()
