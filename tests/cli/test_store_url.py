"""`--store`: a second machine makes nothing, and no password is written down."""

import sys

import pytest
import yaml

from compress.store.artifacts import open_artifact
from tests.chain import FAST
from tests.conftest import write_reviews


@pytest.fixture
def recipe(make_model, tmp_path):
    """A recipe of one step, which is not measured."""
    write_reviews(tmp_path / "train.csv", 64, seed=1)
    step = {"name": "teacher", "stage": "finetune", "model": str(make_model()), **FAST, "epochs": 1}
    task = {"train": "train.csv", "max_length": 16, "test_fraction": 0.2}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "one", "task": task, "steps": [step], "baselines": "none"}))
    return path


def test_a_second_machine_takes_what_the_first_has_made(cli, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["compress", "run", "--store", "sftp://me:s3cr3t@host/dir"])
    for runs in ("first", "second"):
        said = cli("run", recipe, "--runs-dir", runs, "--store", f"file://{tmp_path}/shared")
        assert said.code == 0, said.err
    assert said.out.startswith("nothing to do: every step is done")
    first, second = (open_artifact((tmp_path / runs / "one/steps/teacher").resolve()) for runs in ("first", "second"))
    assert first.manifest == second.manifest
    assert first.path.parents[1] != second.path.parents[1]
    written = (tmp_path / "first/one/events.jsonl").read_text()
    assert "sftp://***@host/dir" in written
    assert "s3cr3t" not in written + (tmp_path / "first/one/run.log").read_text()


def test_the_store_is_tried_before_any_work(refused, recipe, tmp_path):
    error = refused("run", recipe, "--store", "file:///dev/null/store", "--smoke")
    assert error.what.startswith("the store file:///dev/null/store cannot be used: ")
    assert error.where == "--store"
    assert not (tmp_path / "runs").exists()
