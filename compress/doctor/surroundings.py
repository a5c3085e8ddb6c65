"""The machine that models run on: its processors, the share of this process, and other work on it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from compress.machine.facts import host_facts

LOAD_SECONDS = 0.5
BUSY_CORES = 0.2
"""Number of busy cores above which other work on the machine spoils timings."""


class Rate(NamedTuple):
    """The rate of a timed kernel.

    Attributes:
        gflops: 10^9 operations a second.
        ratio: the rate divided by that of fp32 with the same shape and threads.
    """

    kind: str
    tokens: int
    inputs: int
    outputs: int
    threads: int
    gflops: float
    ratio: float


@dataclass(frozen=True)
class Machine:
    """The machine that runs the models.

    Attributes:
        isa: its instruction sets that matter here.
        processors: number of processors, as the system counts them.
        allowed: number of processors that this process may run on.
        quota_cores: processor time that the container may use, in cores; None without a limit.
        threads_per_core: more than 1 if processors share a core.
        busy_cores: cores that other processes kept busy, during half a second of rest and during the timing.
    """

    cpu: str
    isa: tuple[str, ...]
    memory_bytes: int
    processors: int
    allowed: int
    quota_cores: float | None
    threads_per_core: int
    busy_cores: float
    rates: tuple[Rate, ...] = field(default=())

    @property
    def threads(self) -> int:
        """Number of threads that can run at once."""
        within = self.allowed if self.quota_cores is None else min(self.allowed, int(self.quota_cores))
        return max(1, within)


def this_machine() -> Machine:
    """The machine without rates; this takes half a second."""
    host = host_facts()
    with watched() as others:
        time.sleep(LOAD_SECONDS)
    processors = os.cpu_count() or 1
    return Machine(
        cpu=host["cpu"],
        isa=tuple(host["isa"]),
        memory_bytes=host["memory_bytes"],
        processors=processors,
        allowed=host["cores"],
        quota_cores=quota_cores(),
        threads_per_core=threads_per_core(),
        busy_cores=others.busy_cores,
    )


def quota_cores(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Processor time that the process's control groups (version 2 or 1) allow, in cores; None without a limit."""
    groups = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    quotas = []
    for line in groups:
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / controllers if controllers else root
        here = top / place.lstrip("/")
        for folder in {here, *here.parents, top}:
            if folder.is_relative_to(top):
                quotas += [quota for quota in (_limit(folder),) if quota]
    return min(quotas, default=None)


def _limit(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="utf-8") for name in ("quota", "period")
            )
        return float(quota) / float(period) if quota != "max" and float(quota) > 0 else None
    except (OSError, ValueError):
        return None  # the file has no limit


def threads_per_core(
    path: Path = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"),
) -> int:
    """Number of processors on the first processor's core; 1 if the system does not say it."""
    if not path.is_file():
        return 1
    count = 0
    for part in path.read_text(encoding="utf-8").strip().split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return max(1, count)


@dataclass
class Others:
    """The number of cores that other processes keep busy, filled in by `watched`."""

    busy_cores: float = 0.0


@contextmanager
def watched() -> Iterator[Others]:
    """A context that measures the work of processes other than this one and its children."""
    others = Others()
    wall, own, before = time.perf_counter(), _own_seconds(), psutil.cpu_times()
    yield others
    wall, own, after = time.perf_counter() - wall, _own_seconds() - own, psutil.cpu_times()
    spent = {name: getattr(after, name) - getattr(before, name) for name in after._fields}
    idle = {"idle", "iowait", "guest", "guest_nice"}  # guests' time is counted twice
    busy = sum(seconds for name, seconds in spent.items() if name not in idle)
    others.busy_cores = min(max(0.0, (busy - own) / wall), float(os.cpu_count() or 1))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
