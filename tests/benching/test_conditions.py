"""What the harness says of its own use of the processor, and of everyone else's."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from compress.benching.conditions import Watch
from compress.measurement import Conditions
from tests.waiting import until


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
    start = time.perf_counter()
    awake = watched(0.1, busy=True).harness_cpu_pct
    elapsed = time.perf_counter() - start  # longer than what was spun, where others take the core
    assert asleep is not None
    assert awake is not None
    assert 0 <= asleep < 20
    assert 100 * (2 * 0.1) / elapsed <= awake <= 105


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
    known, unknown = Watch(), Watch()
    with (
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinning,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as idle,
    ):
        try:
            until(lambda: cpu_seconds(spinning) > 0.1, "spinning", alive=lambda: spinning.poll() is None)
            with unknown.round(idle.pid), known.round(spinning.pid):
                before = cpu_seconds(spinning)
                until(lambda: cpu_seconds(spinning) > before + 0.4, "spinning")
                spun = cpu_seconds(spinning) - before
        finally:
            spinning.kill()
            idle.kill()
    with_it, without_it = (watch.conditions({}).competing_cores for watch in (unknown, known))
    assert with_it is not None
    assert without_it is not None
    assert with_it * unknown.wall > spun - 0.05  # at least; others may work too; ticks are of 10 ms
    assert with_it * unknown.wall - without_it * known.wall == pytest.approx(spun, abs=0.1)


def cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


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
