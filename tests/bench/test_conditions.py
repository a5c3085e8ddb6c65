"""What the harness says of its own use of the processor, and of everyone else's."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from compress.bench.conditions import Watch
from compress.measurement import Conditions


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def watched(seconds: float, *, busy: bool, pid: int | None = None) -> Conditions:
    watch = Watch()
    for _ in range(2):
        with watch.round(os.getpid() if pid is None else pid):
            (spin if busy else time.sleep)(seconds)
    return watch.conditions({"fp32": 12.5})


def test_a_round_that_sleeps_costs_the_harness_nothing_and_one_that_spins_costs_it_a_core() -> None:
    asleep = watched(0.1, busy=False).harness_cpu_pct
    awake = max(watched(0.1, busy=True).harness_cpu_pct or 0 for _ in range(3))  # other tests may take the core
    assert asleep is not None
    assert 0 <= asleep < 20
    assert 30 < awake <= 105


@pytest.mark.parametrize("busy", [True, False])
def test_competing_cores_are_a_number_that_is_never_negative(busy: bool) -> None:
    found = watched(0.1, busy=busy)  # this process stands for the worker too, and is taken off twice
    assert found.competing_cores is not None
    assert 0 <= found.competing_cores < (os.cpu_count() or 1) + 0.5  # ticks of 10 ms
    assert found.steal_pct is not None
    assert 0 <= found.steal_pct <= 100
    assert found.peak_gflops == {"fp32": 12.5}


def test_a_machine_that_counts_later_than_its_processes_makes_no_negative_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen = psutil.cpu_times()
    monkeypatch.setattr(psutil, "cpu_times", lambda: frozen)
    found = watched(0.05, busy=True)
    assert (found.competing_cores, found.steal_pct) == (0.0, None)


def test_the_workers_own_work_does_not_compete() -> None:
    program = "import time\nend = time.perf_counter() + 20\nwhile time.perf_counter() < end: pass"
    known, unknown = Watch(), Watch()
    with subprocess.Popen([sys.executable, "-c", program]) as spinning, subprocess.Popen(["sleep", "20"]) as idle:
        try:
            time.sleep(0.2)
            with known.round(spinning.pid), unknown.round(idle.pid):
                time.sleep(0.4)
        finally:
            spinning.kill()
            idle.kill()
    with_it, without_it = (watch.conditions({}).competing_cores for watch in (unknown, known))
    assert with_it is not None
    assert without_it is not None
    assert with_it > 0.3  # a core, or what other tests leave of one
    assert without_it < with_it - 0.2


def test_a_worker_that_is_gone_by_the_end_of_its_round_counts_as_no_work() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as worker:
        worker.wait()
        found = watched(0.05, busy=False, pid=worker.pid)
    assert found.competing_cores is not None
    assert found.competing_cores >= 0


def test_without_a_round_nothing_is_known_but_the_peaks() -> None:
    found = Watch().conditions({"int8": 99.0})
    assert (found.harness_cpu_pct, found.competing_cores, found.steal_pct) == (None, None, None)
    assert found.peak_gflops == {"int8": 99.0}
