"""The default tests, as `pytest` runs them: how long they take, and how many pass."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.faults.suites import failures, read_report
from benchmarks.newcomer.workplace import ROOT


def measure(folder: Path) -> dict[str, Any]:
    """Run them once, from the start of the process to its end."""
    report = folder / "tests.xml"
    load, start = os.getloadavg(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--durations=25", f"--junitxml={report}"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.perf_counter() - start
    return {
        "code": done.returncode,
        "seconds": seconds,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": load,
        **read_report(report),
        "printed": done.stdout[-10_000:],
    }


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """None for the time of a suite that fails."""
    works = not failures(record)
    return {"suite_s": round(record["seconds"], 1) if works else None, "tests": record["passed"]}
