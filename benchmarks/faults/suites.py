"""The test suite on both kinds of processor: as this one is, and seeing AVX2 alone."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from avx2_only import NotHereError, avx2_only
from benchmarks.faults.small_run import ROOT
from benchmarks.faults.trials import Record
from compress.machine.processor import instruction_sets, processor_name

NATIVE, AVX2 = "native", "avx2"
PRINTED = 20_000
"""Characters that are kept of what the tests printed last, where something failed."""


def suite_trials(folder: Path, selected: Sequence[str] = ()) -> dict[str, Record]:
    """Run the default tests as the processor is, and as on one with AVX2 alone; once, if it is such a one.

    Args:
        folder: for the tests' reports.
        selected: arguments of pytest; none for all that it runs by default.

    Returns:
        The kind of processor -> what came of it; without `avx2` where AVX2 alone cannot be shown, which is printed.

    Raises:
        CompressError: processes that should see AVX2 alone do not.
    """
    found = {NATIVE: _run(selected, folder / f"{NATIVE}.xml", {})}
    try:
        with avx2_only() as processes:
            hides = bool(processes.environment)
            same = _run(selected, folder / f"{AVX2}.xml", processes.environment) if hides else found[NATIVE]
            found[AVX2] = same | {"how": processes.how, "proof": dict(processes.proof)}
    except NotHereError as error:
        print(f"  the tests are not run seeing AVX2 alone: {error}", flush=True)
    return found


def failures(record: Mapping[str, Any]) -> int:
    """How many tests of a suite failed; at least one where it did not end well, or ran no test."""
    wrong = record["code"] != 0 or record["passed"] == 0
    return max(len(record["failed"]), int(wrong))


def _run(selected: Sequence[str], report: Path, extra: Mapping[str, str]) -> Record:
    start, begun = time.monotonic(), datetime.now(UTC)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--junitxml={report}", *selected],
        cwd=ROOT,
        env={**os.environ, **extra},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    record: Record = {
        "created": begun.isoformat(timespec="seconds"),
        "processor": f"{processor_name()} ({', '.join(instruction_sets())})",
        "code": done.returncode,
        "seconds": round(time.monotonic() - start, 1),
        **read_report(report),
    }
    if failures(record):
        record["printed"] = done.stdout[-PRINTED:]
    print(f"  {report.stem}: {record['passed']} passed, {failures(record)} failed", flush=True)
    return record


def read_report(path: Path) -> Record:
    """How many tests `passed` and were `skipped`, and which `failed`, by pytest's report; none where there is none."""
    found: Record = {"passed": 0, "skipped": 0, "failed": []}
    if not path.is_file():
        return found
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            if name not in found["failed"]:  # a test and its teardown may both fail
                found["failed"].append(name)
        elif case.find("skipped") is not None:
            found["skipped"] += 1
        else:
            found["passed"] += 1
    return found
