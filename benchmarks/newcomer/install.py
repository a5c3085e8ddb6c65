"""A bare install by the README's command: how long it takes, and how large it is."""

import os
import re
import resource
import shutil
import stat
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from benchmarks.newcomer.workplace import ROOT, Workplace
from compress.errors import CompressError

INSTALLER = "pip"
"""Stands in each new environment and is not counted."""
LARGEST = 10


def measure(place: Workplace) -> dict[str, Any]:
    """Install a copy of the tracked files into a new environment, without pip's cache, and weigh what came.

    Raises:
        CompressError: the command failed, or the package lacks a file.
    """
    checkout = place.new_folder("install")
    copy_tracked(checkout)
    command = readme_command(checkout)
    path = f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=checkout,
        env={**os.environ, "PATH": path, "PIP_NO_CACHE_DIR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise CompressError(f"the install failed: {done.stderr.strip()[-1000:]}", where=command)
    (site,) = checkout.glob(".venv/lib/python3*/site-packages")
    missing = [name for name in carried(checkout) if not (site / name).is_file()]
    if missing:
        raise CompressError(f"the installed package lacks {', '.join(missing)}", where="pyproject.toml")
    return {
        "command": command,
        "seconds": seconds,
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "bytes": weigh(site.rglob("*")),
        "bytes_not_counted": weigh(file for own in installed(site) if own.name == INSTALLER for file in files_of(own)),
        "packages": packages(site),
        "smoke": smoke(checkout / ".venv" / "bin" / "compress", place.new_folder("smoke")),
    }


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """The part of the summary; MB are 10**6 bytes."""
    return {
        "install_mb": round((record["bytes"] - record["bytes_not_counted"]) / 1e6),
        "install_s": round(record["seconds"], 1),
        "install_packages": len(record["packages"]),
    }


def copy_tracked(folder: Path) -> None:
    """Copy the files that git tracks here, as they stand, into an empty folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def carried(checkout: Path) -> list[str]:
    """What the installed package must have: each file of compress/, code or not, and each recipe."""
    code = [path.relative_to(checkout) for path in (checkout / "compress").rglob("*.*")]
    recipes = [Path("compress") / path.relative_to(checkout) for path in (checkout / "recipes").rglob("*.*")]
    return [str(path) for path in (*code, *recipes)]


def readme_command(checkout: Path) -> str:
    """The README's first line of commands that installs this checkout, up to its `pip install .`.

    Raises:
        CompressError: there is none.
    """
    found = re.search(
        r"^.*\bpip install \.(?=\s|$)", (checkout / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    if found is None:
        raise CompressError("no line holds 'pip install .'", where="README.md")
    return found.group()


def smoke(command: Path, folder: Path) -> dict[str, Any]:
    """Run the quickstart's smoke test with the installed command, from an empty folder: no extra is needed for it.

    Raises:
        CompressError: it failed.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [command, "run", "quickstart", "--smoke"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CompressError(f"the smoke test failed: {done.stderr.strip()[-1000:]}", where=str(command))
    return {"seconds": time.perf_counter() - start, "output": done.stdout}


def installed(site: Path) -> list[Distribution]:
    """The distributions of an environment."""
    return list(distributions(path=[str(site)]))


def files_of(distribution: Distribution) -> list[Path]:
    """The files that its installer wrote down."""
    return [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]


def packages(site: Path) -> list[dict[str, Any]]:
    """Each distribution but the installer, the largest first; sizes are given of the first ten."""
    sizes = {(own.name, own.version): weigh(files_of(own)) for own in installed(site) if own.name != INSTALLER}
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return [
        {"name": name, "version": version} | ({"bytes": size} if rank < LARGEST else {})
        for rank, ((name, version), size) in enumerate(ordered)
    ]


def weigh(paths: Iterable[Path]) -> int:
    """Sum of the sizes of regular files, in bytes, as they are read and not as a disk's blocks hold them.

    A link counts nothing, several names of one file count once, and what is no longer there counts nothing.
    """
    sizes: dict[tuple[int, int], int] = defaultdict(int)
    for path in paths:
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(found.st_mode):
            sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())
