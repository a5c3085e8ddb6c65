"""Packages of somebody else, installed for one test: a module each, with the entry points that name it."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest


def install_package(site: Path, name: str, entry_points: Mapping[str, Mapping[str, str]], version: str = "1.0") -> None:
    """What pip leaves behind of a package in a folder: its name, its version and its entry points."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        line
        for group, values in entry_points.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in values.items()))
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Installs a package into a folder of its own, for this process and for those that it starts.

    `install("shrinker", {"compress.stages": {"shrink": "shrink_module"}}, shrink_module="INTERFACE = 1")` gives the
    folder; modules are given as text, or as the path of a file.
    """
    added: set[str] = set()

    def install_here(
        name: str, entry_points: Mapping[str, Mapping[str, str]], version: str = "1.0", **modules: str | Path
    ) -> Path:
        site = tmp_path / f"site-{name}-{version}"
        install_package(site, name, entry_points, version)
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source.read_text() if isinstance(source, Path) else source)
        added.update(modules)
        monkeypatch.syspath_prepend(site)
        monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
        return site

    yield install_here
    for module in added:
        sys.modules.pop(module, None)
