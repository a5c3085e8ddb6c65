"""What a task, a format and a stage of somebody else touch: each is run in a clean copy, beside a package that knows
nothing of them."""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.faults.suites import failures, read_report
from benchmarks.newcomer.workplace import ROOT

TESTS = "tests/extending/test_extending.py"
CONSTANTS = ("FILES", "ENTRY_POINTS")


def measure(folder: Path) -> dict[str, Any]:
    """Run them in a copy of the committed files, and look which files of the package name them or were changed."""
    copy = folder / "copy"
    copy.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "xf", "-"], cwd=copy, input=archive.stdout, check=True)
    before = _contents(copy / "compress")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-m", "not gpu", "--junitxml=extending.xml", TESTS],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    changed = sorted(path for path, content in _contents(copy / "compress").items() if before.get(path) != content)
    files, points = _constants(copy / TESTS)
    return {
        "code": done.returncode,
        **read_report(copy / "extending.xml"),
        "printed": done.stdout[-4000:],
        "touched": {
            kind: {"own": [f"{own}.py"], "package": sorted({*changed, *_naming(copy / "compress", own, points)})}
            for kind, own in files.items()
        },
    }


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """Files for each kind: its own, and those of the package; None where it does not work."""
    works = not failures(record)
    return {
        f"files_touched_for_a_{kind}": len(touched["own"]) + len(touched["package"]) if works else None
        for kind, touched in record["touched"].items()
    }


def _contents(package: Path) -> dict[str, str]:
    files = (path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(package)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _naming(package: Path, own: str, points: dict[str, dict[str, str]]) -> list[str]:
    """Files of the package in which the module's name stands, or a name that it is found by."""
    names = {own, *(name for group in points.values() for name, module in group.items() if module == own)}
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in package.rglob("*.*")}
    return [str(path.relative_to(package)) for path, text in texts.items() if any(name in text for name in names)]


def _constants(tests: Path) -> list[Any]:
    """The test's own FILES and ENTRY_POINTS."""
    known: dict[str, Any] = {}
    for node in ast.parse(tests.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in CONSTANTS:
            exec(compile(ast.Module([node], []), str(tests), "exec"), known)  # noqa: S102  a constant of our own tests
    return [known[name] for name in CONSTANTS]
