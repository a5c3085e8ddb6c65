"""Modules that stand in no room, and the floors that the import contract knows; whether the contract is kept."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.newcomer.workplace import ROOT


def measure(folder: Path) -> dict[str, Any]:
    """The names, and what the checker says."""
    del folder
    with (ROOT / "pyproject.toml").open("rb") as file:
        (contract,) = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "top_level": sorted(path.name for path in (ROOT / "compress").glob("*.py")),
        "floors": contract["layers"],
        "contract_kept": checked.returncode == 0,
        "said": checked.stdout[-2000:],
    }


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """None for the floors of a contract that is not kept."""
    return {
        "top_level_files": len(record["top_level"]),
        "import_floors": len(record["floors"]) if record["contract_kept"] else None,
    }
