"""The machine that models run on: its processors, what of them this process may use, and who else is at work."""

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
"""Above this, other work on the machine spoils what is timed."""


class Rate(NamedTuple):
    """One timed kernel.

    Attributes:
        gflops: 10^9 operations a second.
        ratio: over fp32 of the same shape and threads.
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
    """What runs the models.

    Attributes:
        isa: instruction sets that matter here.
        processors: of the machine, as its system counts them.
        allowed: of those, how many this process may run on.
        quota_cores: processor time that its container may use, in cores; None without a limit.
        threads_per_core: more than 1 where processors share a core.
        busy_cores: what other processes kept busy, over half a second of rest and while the rates were taken.
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
        """As many as can run at a time."""
        within = self.allowed if self.quota_cores is None else min(self.allowed, int(self.quota_cores))
        return max(1, within)


def look_around() -> Machine:
    """The machine without its rates; takes half a second."""
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
    """Cores' worth of processor time that the process's control groups (version 2 or 1) allow; None: no limit."""
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
        return None  # no limit is written there


def threads_per_core(
    path: Path = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"),
) -> int:
    """Processors that share the first one's core, itself included; 1 where the system does not say."""
    if not path.is_file():
        return 1
    count = 0
    for part in path.read_text(encoding="utf-8").strip().split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return max(1, count)


@dataclass
class Others:
    """How many cores other processes kept busy meanwhile."""

    busy_cores: float = 0.0


@contextmanager
def watched() -> Iterator[Others]:
    """Watch the others while this process works, and those that it starts and waits for."""
    others = Others()
    wall, own, before = time.perf_counter(), _own_seconds(), psutil.cpu_times()
    yield others
    wall, own, after = time.perf_counter() - wall, _own_seconds() - own, psutil.cpu_times()
    spent = {name: getattr(after, name) - getattr(before, name) for name in after._fields}
    idle = {"idle", "iowait", "guest", "guest_nice"}  # guests' time is told twice
    busy = sum(seconds for name, seconds in spent.items() if name not in idle)
    others.busy_cores = min(max(0.0, (busy - own) / wall), float(os.cpu_count() or 1))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
