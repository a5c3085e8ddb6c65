"""A Python of its own in which one installed package is not installed."""

import subprocess
import sys
from pathlib import Path

from benchmarks.newcomer.workplace import ROOT


def python_without(package: str, folder: Path) -> Path:
    """A virtual environment with links to all that is installed here but for one package, as pip lists it.

    Its Python finds this checkout too: give it `PYTHONPATH`, see `environment`.

    Args:
        package: its files' and its metadata's names begin so.
        folder: is made.

    Returns:
        The environment's Python.
    """
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for place in map(Path, sys.path):
        if place.name not in {"site-packages", "dist-packages"} or not place.is_dir():
            continue
        for entry in place.iterdir():
            link = site / entry.name
            if not entry.name.lower().startswith(package) and entry.suffix != ".pth" and not link.exists():
                link.symlink_to(entry)
    return folder / "bin" / "python"


def environment() -> dict[str, str]:
    """Variables with which a Python elsewhere imports this checkout."""
    return {"PYTHONPATH": str(ROOT)}
