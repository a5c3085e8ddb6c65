"""A search on a real local cluster of Ray: the same result as here, and a worker that is lost is made up for."""

import shutil
from dataclasses import replace

import pytest

from compress.errors import CompressError, InputError
from compress.files.whole import MANIFEST
from compress.recipe.validation import Origin
from compress.running.where import place_of
from compress.running.where.outside import models_of, stored_model, with_stored_models
from compress.search.run import run_search
from compress.store.artifacts import Artifact, open_artifact
from compress.store.shared import SharedStore, open_shared
from compress.store.store import OWN_FOLDERS, Store
from tests.chain import Silent
from tests.running.toys import ToyStage, toy_plan

FAMILIES = ["linear", "layers", "elastic"]


@pytest.fixture
def toy_chain(make_model, tmp_path):
    """A plan that reads a model from outside, and the model's folder."""
    folder = shutil.copytree(make_model(), tmp_path / "model")
    return toy_plan(ToyStage(), folder, {"base": 1}), folder


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


@pytest.mark.slow
def test_workers_that_share_only_a_url_give_the_same_result(start, monkeypatch, tmp_path):
    """Their stores are below their cache; the folder of the driver's store is not even told to them."""
    pytest.importorskip("ray")
    import torch

    from benchmarks.search.on_ray import local_cluster
    from compress.running.where import ray as where

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "workers"))
    shared = open_shared(f"file://{tmp_path}/shared")
    recipe = start(goal={"max_drop_pp": 100.0})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    remote, asked = where._StorePlace.of, []

    def without_folder(store):
        asked.append(store.root)
        return replace(remote(store), root=str(tmp_path / "nowhere"))

    monkeypatch.setattr(where._StorePlace, "of", without_folder)
    try:
        here = run_search(recipe, Origin(), tmp_path / "here", Silent(), lambda _: None)
        with local_cluster():
            on_ray = run_search(recipe, Origin(), tmp_path / "ray", Silent(), lambda _: None, on="ray", shared=shared)
    finally:
        torch.set_num_threads(threads)
    assert on_ray.plan.recipe == here.plan.recipe
    files = [found.result.artifacts["final"].path / "model.onnx" for found in (here, on_ray)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert asked
    assert not (tmp_path / "nowhere").exists()
    (workers,) = (tmp_path / "workers" / "stores").iterdir()
    made = {path.name for path in workers.iterdir() if path.name not in OWN_FOLDERS}
    assert {name.split("-")[0] for name in made} >= {"model", "finetune", "export_onnx", "fit_linear"}
    for name in made:
        assert (tmp_path / "shared" / name / MANIFEST).is_file()
        ours = tmp_path / "ray" / "store" / name
        assert open_artifact(ours).manifest == open_artifact(workers / name).manifest, "made once, and taken"


def test_workers_take_models_from_outside_by_their_content(toy_chain, tmp_path):
    plan, folder = toy_chain
    url = f"file://{tmp_path}/shared"
    driver, worker = (Store(tmp_path / name, open_shared(url)) for name in ("driver", "worker"))
    for model in models_of([plan]).values():
        stored_model(model, driver)
    shutil.rmtree(folder)
    step = with_stored_models(plan, worker).steps[0]
    (model,) = (value for value in step.inputs.values() if isinstance(value, Artifact))
    assert model.path.parent == worker.root
    assert model.key == plan.steps[0].inputs["model"].key
    assert (model.path / "config.json").is_file()
    with pytest.raises(CompressError):
        with_stored_models(plan, Store(tmp_path / "third", SharedStore(f"file://{tmp_path}/empty")))


def test_a_store_in_memory_is_refused_for_workers():
    with pytest.raises(InputError, match="other processes cannot see a store in memory"):
        place_of("ray", SharedStore("memory://store"))


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
