"""Inputs that somebody may give, each with what must come of it: files of `hostile_*.py` and `odd_*.py`."""

import atexit
import importlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.faults.small_run import RECIPE, Ended, environment, write_small_run
from benchmarks.faults.trials import AT_ONCE, Kept, Record
from benchmarks.faults.verdict import LINES, error_lines, why_unclear
from benchmarks.faults.watched import MARKER, ended_orphans

SECONDS = 240.0
"""A command of tiny models that takes longer hangs."""
MEMORY_BYTES = 12 * 2**30
"""Address space that a case's processes may take each."""
ORPHANS_SECONDS = 10.0
"""How long processes may outlive the command that started them."""
TIMED_OUT = -1000
"""Exit code of what did not end."""
CANARY = "canary.txt"
"""A file beside the case's folder, which no case may change."""

Check = Callable[[Path, Ended], str | None]


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        name: unique within its kind.
        kind: what sort of input it is: archive, model, graph, tokenizer, recipe, run folder, data, …
        prepare: fills an empty folder, and gives the arguments of `compress`, which runs there.
        wrong: what is wrong with the folder and the command's end, in words; None if both are as they should be.
        environment: variables of the command beside the usual ones.
    """

    name: str
    kind: str
    prepare: Callable[[Path], Sequence[str]]
    wrong: Check
    environment: tuple[tuple[str, str], ...] = ()


def refused(*names: str, code: int | None = None) -> Check:
    """The check of a case that must end in a clear error which speaks of all `names`, whatever their case.

    Args:
        code: the exit code that it must have; left out, 1 or 2.
    """

    def check(folder: Path, ended: Ended) -> str | None:
        del folder
        if ended.code == 0:
            return "exit code 0 where an error should be"
        unclear = why_unclear(ended.code, ended.stderr)
        if unclear is None and code is not None and ended.code != code:
            unclear = f"exit code {ended.code} in place of {code}"
        missing = [name for name in names if name.lower() not in ended.stderr.lower()]
        return unclear or (f"it does not say {missing}" if missing else None)

    return check


def succeeded(also: Check | None = None) -> Check:
    """The check of a case that must end with exit code 0, and of which `also` then finds nothing wrong."""

    def check(folder: Path, ended: Ended) -> str | None:
        if ended.code != 0:
            return f"exit code {ended.code}: {' '.join(error_lines(ended.stderr))[:400] or ended.stderr[-400:]}"
        if "Traceback (most recent call last)" in ended.stderr:
            return "a traceback"
        return also(folder, ended) if also else None

    return check


def cases(part: str) -> list[Case]:
    """All cases of `hostile` or `odd`, in the order of their files' names."""
    names = sorted(path.stem for path in Path(__file__).parent.glob(f"{part}_*.py"))
    found: list[Case] = []
    for name in names:
        found += importlib.import_module(f"benchmarks.faults.{name}").CASES
    return found


def case_trials(part: str, count: int | None, folder: Path, kept: Kept, only: str = "") -> list[Record]:
    """Try the cases of a part that are not kept yet, two at a time, and give the records of all in their order.

    Args:
        count: so many, spread evenly over all of them; None for all.
        only: a word that their kind or name must have.
    """
    chosen = [case for case in cases(part) if only in f"{case.kind} {case.name}"]
    if count is not None and count < len(chosen):
        chosen = [chosen[number * len(chosen) // count] for number in range(count)]

    def one(numbered: tuple[int, Case]) -> Record:
        number, case = numbered
        if (case.kind, case.name) in kept.records:
            return kept.records[case.kind, case.name]
        record = try_case(case, folder / f"{part}-{number}", f"{part}-{number}")
        kept.add(record)
        print(f"  {part} {number + 1}/{len(chosen)} {case.kind}, {case.name}: {record['outcome']}", flush=True)
        return record

    small_run()  # before two ask for it at once
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, enumerate(chosen)))


def try_case(case: Case, folder: Path, trial: str) -> Record:
    """Run one case in an empty folder, and say what came of it."""
    here, scratch = folder / "here", folder / "tmp"
    for place in (here, scratch):
        place.mkdir(parents=True)
    canary = folder / CANARY
    canary.write_text("untouched\n", encoding="utf-8")
    arguments = list(case.prepare(here))
    trial = f"{trial}-{os.getpid()}"
    own = {"TMPDIR": str(scratch), "COMPRESS_CACHE": str(folder / "cache"), MARKER: trial, **dict(case.environment)}
    ended = run_limited(arguments, here, own)
    orphans = ended_orphans(trial, ORPHANS_SECONDS)
    if ended.code == TIMED_OUT:
        wrong: str | None = f"no end within {SECONDS:.0f} s"
    elif canary.read_text(encoding="utf-8") != "untouched\n":
        wrong = "a file outside of its folder was changed"
    elif orphans:
        wrong = f"a process lived on: {orphans[0]}"
    else:
        wrong = case.wrong(here, ended)
    record: Record = {"kind": case.kind, "trial": case.name, "arguments": arguments, "code": ended.code}
    record |= {"seconds": round(ended.seconds, 2), "outcome": f"bad: {wrong}" if wrong else "right", "bad": bool(wrong)}
    if ended.code:
        record["error"] = error_lines(ended.stderr)[:LINES]
    if wrong:
        record |= {"stdout": ended.stdout[-5000:], "stderr": ended.stderr[-5000:]}
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return record


def run_limited(arguments: Sequence[str], folder: Path, extra: dict[str, str]) -> Ended:
    """`compress` in a folder, as an installed command would run there, within bounds of time and memory."""
    command = [sys.executable, "-P", "-m", "compress", *arguments]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment(**extra),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
        )
    except subprocess.TimeoutExpired:
        return Ended(TIMED_OUT, time.monotonic() - start, "", "")
    return Ended(done.returncode, time.monotonic() - start, done.stdout, done.stderr)


@cache
def small_run() -> Path:
    """A folder with the small run's `model`, `train.csv`, `test.csv` and `small.yaml`; to be copied, not changed."""
    folder = Path(tempfile.mkdtemp(prefix="compress-small-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_small_run(folder / "files", train_rows=96, hidden=32).parent


def recipe(**changed: object) -> dict[str, object]:
    """The small run's recipe with some keys changed."""
    return {**RECIPE, **changed}
