"""Trials that take long: two at a time, each kept as soon as it is done, and taken from there if it was done before."""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.small_run import STEPS, command, step_hashes, write_small_run
from benchmarks.faults.watched import Watched, spans

AT_ONCE = 2
Record = dict[str, Any]


@dataclass(frozen=True)
class Workplace:
    """The small run, made once without any disturbance, beside another one.

    Attributes:
        folder: for whatever trials write.
        finished: a runs folder in which all is done; to be copied, not changed.
        expected: file -> SHA-256 of each step's artifact.
        seconds: that the run takes, with another one beside it.
        spans: seconds that it is in each of its phases.
        bytes_at_peak: the most that its runs folder took on the disk.
    """

    folder: Path
    recipe: Path
    finished: Path
    expected: dict[str, dict[str, str]]
    seconds: float
    spans: dict[str, float]
    bytes_at_peak: int

    def facts(self) -> Record:
        """What the raw results say of it."""
        return {
            "seconds": round(self.seconds, 2),
            "spans": self.spans,
            "bytes_at_peak": self.bytes_at_peak,
            "expected": self.expected,
        }


def prepare(folder: Path) -> Workplace:
    """Write the small run and run it twice, side by side; both must end in the same bytes."""
    recipe = write_small_run(folder / "small")
    print("the small run, undisturbed, twice", flush=True)
    twins = [
        Watched(command(recipe, folder / f"whole-{number}"), folder / f"twin-{number}", "whole") for number in (0, 1)
    ]
    peak = 0
    while not twins[0].ends_within(0.1):
        peak = max(peak, _disk_bytes(folder / "whole-0"))
    ended = [twin.end() for twin in twins]
    hashes = [step_hashes(folder / f"whole-{number}") for number in (0, 1)]
    if any(done.code != 0 for done in ended):
        raise SystemExit(f"the small run failed:\n{ended[0].stderr}\n{ended[1].stderr}")
    if hashes[0] != hashes[1] or set(hashes[0]) != set(STEPS):
        raise SystemExit("two undisturbed runs differ: nothing can be said of disturbed ones")
    seconds = max(done.seconds for done in ended)
    phases = spans(twins[0].lines, ended[0].seconds)
    return Workplace(folder, recipe, folder / "whole-0", hashes[0], seconds, phases, peak)


def _disk_bytes(folder: Path) -> int:
    """Bytes of the blocks that a folder's files take; those that vanish meanwhile are left out."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(root) / name).lstat().st_blocks * 512
    return total


class Kept:
    """Records in a file of JSON lines, one a trial, by their kind and their number or name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.records: dict[tuple[str, int | str], Record] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                self.records[record["kind"], record["trial"]] = record

    def add(self, record: Record) -> None:
        """Keep a record at once."""
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            self.records[record["kind"], record["trial"]] = record


def run_trials(kind: str, trials: Sequence[Callable[[], Record]], kept: Kept) -> list[Record]:
    """Run the trials that are not kept yet, and give the records of all in their order."""

    def one(number: int) -> Record:
        if (kind, number) in kept.records:
            return kept.records[kind, number]
        start = time.monotonic()
        record = {"kind": kind, "trial": number, **trials[number]()}
        record["trial_s"] = round(time.monotonic() - start, 1)
        kept.add(record)
        print(f"  {kind} {number + 1}/{len(trials)}: {record['outcome']}", flush=True)
        return record

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(len(trials))))
