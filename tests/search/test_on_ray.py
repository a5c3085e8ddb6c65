"""A search on a real local cluster of Ray: the same result as here, and a worker that is lost is made up for."""

import os
import signal
import threading
import time

import psutil
import pytest

from compress.errors import InputError
from compress.recipe.validation import Origin
from compress.running.where import place_of
from compress.search.run import run_search
from tests.chain import Silent

from .test_run import start  # noqa: F401  the recipe of a search

FAMILIES = ["linear", "layers", "elastic"]
NODES = 3


@pytest.fixture
def cluster(monkeypatch):
    """Three nodes of one processor each."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_DEDUP_LOGS", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"compress_target": 1}})
    for _ in range(NODES - 1):
        nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def _kill_a_worker_at_work(killed: list[int], stop: threading.Event) -> None:
    """Kill the first worker of Ray that has made a checkpoint's worth of work."""
    while not stop.is_set() and not killed:
        for process in psutil.process_iter(["cmdline"]):
            if process.info["cmdline"] and process.info["cmdline"][0].startswith("ray::_make"):
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
                break
        time.sleep(0.05)


@pytest.mark.slow
def test_the_result_is_that_of_one_machine_and_a_lost_worker_is_made_up_for(start, cluster, tmp_path):  # noqa: F811
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        recipe = start(families=FAMILIES, goal={"max_drop_pp": 100.0})
        here = run_search(recipe, Origin(), tmp_path / "here", Silent(), lambda _: None)
        killed, stop = [], threading.Event()
        killer = threading.Thread(target=_kill_a_worker_at_work, args=(killed, stop))
        killer.start()
        observer = Silent()
        on_ray = run_search(recipe, Origin(), tmp_path / "ray", observer, lambda _: None, on="ray")
        stop.set()
        killer.join()
    finally:
        torch.set_num_threads(threads)
    assert killed, "a worker was killed while it made a candidate"
    assert on_ray.plan.recipe == here.plan.recipe
    files = [found.result.artifacts["final"].path / "model.onnx" for found in (here, on_ray)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_no_such_place(monkeypatch):
    with pytest.raises(InputError, match="'dask' is no place"):
        place_of("dask")
    from compress import extras

    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="work on other machines needs the package ray") as caught:
        place_of("ray")
    assert caught.value.fix == 'pip install "compress-models[ray]"'


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named():
    pytest.importorskip("ray")
    with pytest.raises(InputError, match=r"no Ray cluster answers at ray:..127.0.0.1:1"):
        place_of("ray://127.0.0.1:1")
