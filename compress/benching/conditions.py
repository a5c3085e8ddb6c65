"""The conditions of the timed rounds: how much of the processor the harness itself used, and everyone else."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil

from compress.measurement import Conditions


class Watch:
    """Adds up, over all rounds, who used the machine's cores while a worker was timed."""

    def __init__(self) -> None:
        self.wall = self.own = self.busy = self.worker = self.stolen = self.possible = 0.0

    @contextmanager
    def round(self, worker: int) -> Iterator[None]:
        """Watch one round of a worker.

        Args:
            worker: the number of its process.
        """
        wall, own_cpu, worker_cpu = time.perf_counter(), time.process_time(), _cpu_seconds(worker)
        busy, stolen, possible = _machine_seconds()
        yield
        self.wall += time.perf_counter() - wall
        self.own += time.process_time() - own_cpu
        self.worker += max(0.0, _cpu_seconds(worker) - worker_cpu)
        now_busy, now_stolen, now_possible = _machine_seconds()
        self.busy += now_busy - busy
        self.stolen += now_stolen - stolen
        self.possible += now_possible - possible

    def conditions(self, peaks: Mapping[str, float]) -> Conditions:
        """The conditions of all rounds; without a round the shares are None."""
        clock = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
        return Conditions(
            harness_cpu_pct=100 * self.own / self.wall if self.wall else None,
            competing_cores=max(0.0, (self.busy - self.worker - self.own) / self.wall) if self.wall else None,
            steal_pct=100 * self.stolen / self.possible if self.possible else None,
            clock_mhz=clock.current if clock else None,
            peak_gflops=dict(peaks),
        )


def _cpu_seconds(pid: int) -> float:
    """The CPU time of a process so far; 0 for one that has ended."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _machine_seconds() -> tuple[float, float, float]:
    """The core seconds of the machine so far: (busy, stolen by the hypervisor, all)."""
    times = psutil.cpu_times()
    everything = sum(getattr(times, name) for name in times._fields if not name.startswith("guest"))
    stolen = getattr(times, "steal", 0.0)
    return everything - times.idle - getattr(times, "iowait", 0.0) - stolen, stolen, everything
