"""A search on a real local cluster of Ray: the same result as here, and a worker that is lost is made up for."""

import pytest

from compress.errors import InputError
from compress.recipe.validation import Origin
from compress.running.where import place_of
from compress.search.run import run_search
from tests.chain import Silent

FAMILIES = ["linear", "layers", "elastic"]


@pytest.fixture
def killer(monkeypatch):
    """A killer of a worker of a local cluster of three nodes."""
    pytest.importorskip("ray")
    from benchmarks.search.on_ray import local_cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with local_cluster() as killer:
        yield killer


@pytest.mark.slow
def test_the_result_is_that_of_one_machine_and_a_lost_worker_is_made_up_for(start, killer, tmp_path):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        recipe = start(families=FAMILIES, goal={"max_drop_pp": 100.0})
        here = run_search(recipe, Origin(), tmp_path / "here", Silent(), lambda _: None)
        killer.start()
        on_ray = run_search(recipe, Origin(), tmp_path / "ray", Silent(), lambda _: None, on="ray")
    finally:
        torch.set_num_threads(threads)
    assert killer.killed, "a worker was killed while it made a candidate"
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
