"""A run's folder and its store, where they are links or hold what is not ours."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compress.errors import CompressError, InputError
from compress.running.folder import claim, link_steps, open_store, run_folder
from compress.store.artifacts import Artifact, Identity
from compress.store.inventory import take_inventory

IDENTITY = Identity("finetune", 1, {}, {}, "rows", 0)


def make(out: Path, work: Path) -> None:
    del work
    (out / "model.safetensors").write_bytes(b"weights")
    (out / "config.json").write_text("{}")


def linked(runs: Path) -> Artifact:
    """An artifact of the store, with a run that links to it."""
    artifact, _ = open_store(runs).obtain(IDENTITY, "torch", make, host={})
    steps = [SimpleNamespace(name="teacher", only_measured=False), SimpleNamespace(name="hidden", only_measured=True)]
    plan: Any = SimpleNamespace(steps=steps)
    folder = run_folder(runs, "tiny")
    folder.mkdir(exist_ok=True)
    link_steps(folder, plan, {"teacher": artifact})
    return artifact


@pytest.mark.parametrize("place", ["store", "runs"])
def test_a_store_or_all_runs_may_be_a_link(tmp_path: Path, place: str) -> None:
    runs = tmp_path / "runs"
    (tmp_path / "elsewhere").mkdir()
    if place == "store":
        runs.mkdir()
        (runs / "store").symlink_to("../elsewhere")
    else:
        runs.symlink_to("elsewhere")
    artifact = linked(runs)
    assert (runs / "tiny" / "steps" / "teacher").samefile(artifact.path)
    (item,) = take_inventory(open_store(runs), runs)
    assert item.named_by == ("tiny",)


def test_links_of_a_run_are_made_anew_and_other_files_are_left(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("precious")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "steps").symlink_to("../theirs")
    linked(tmp_path)
    (tmp_path / "tiny" / "steps" / "notes.txt").write_text("mine")
    (tmp_path / "tiny" / "steps" / "gone").symlink_to("nowhere")
    linked(tmp_path)
    assert sorted(path.name for path in (tmp_path / "tiny" / "steps").iterdir()) == ["notes.txt", "teacher"]
    assert (tmp_path / "theirs" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_runs_folder_is_a_folder(tmp_path: Path, what: str) -> None:
    if what == "link":
        (tmp_path / "tiny").symlink_to(tmp_path)
    else:
        (tmp_path / "tiny").write_text("x")
    with pytest.raises(InputError, match=f"the run's folder is a {what}"):
        run_folder(tmp_path, "tiny")
    assert run_folder(tmp_path, "other") == tmp_path / "other"


@pytest.mark.parametrize("name", ["scratch", "locks", "damaged"])
def test_a_store_whose_own_folders_are_links_is_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).symlink_to("../theirs")
    with pytest.raises(CompressError, match=f"the store's folder '{name}' is a link"):
        linked(tmp_path)
    assert list((tmp_path / "theirs").iterdir()) == []


@pytest.mark.parametrize("damage", ["[" * 100_000, "[]", '{"a": NaN}', "pipe"])
def test_needs_that_are_damaged_are_said_anew(tmp_path: Path, damage: str) -> None:
    if damage == "pipe":
        os.mkfifo(tmp_path / "needs.json")
    else:
        (tmp_path / "needs.json").write_text(damage)
    claim(tmp_path, {"teacher ab": "finetune-ab"})
    assert (tmp_path / "needs.json").read_text() == '{\n "teacher ab": "finetune-ab"\n}\n'


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o444), (0o077, 0o400), (0o027, 0o440)])
def test_weights_are_read_only_and_for_nobody_whom_the_umask_leaves_out(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        artifact, _ = open_store(tmp_path).obtain(IDENTITY, "torch", make, host={})
    finally:
        os.umask(before)
    assert (artifact.path / "model.safetensors").stat().st_mode & 0o777 == mode
    assert (artifact.path / "config.json").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"facts": {}', f'"facts": {"{" + chr(34) + "a" + chr(34) + ":"}{"[" * 500 + "]" * 500}}}'),
        ('"facts": {}', f'"facts": {"[" * 100_000}'),
        ('"seconds": ', '"seconds": NaN, "x": '),
        ('"seconds": ', '"seconds": 1e999, "x": '),
        ('"seed": 0', f'"seed": {"9" * 4000}'),
        ('"data": "rows"', '"data": "\\ud800"'),
    ],
)
def test_a_damaged_manifest_is_set_aside_and_the_artifact_made_again(tmp_path: Path, old: str, new: str) -> None:
    store, warnings = open_store(tmp_path), []
    artifact, _ = store.obtain(IDENTITY, "torch", make, host={})
    manifest = artifact.path / "manifest.json"
    text = manifest.read_text()
    assert text.count(old) == 1
    manifest.write_text(text.replace(old, new))
    again, made = store.obtain(IDENTITY, "torch", make, host={}, warn=warnings.append)
    assert made
    assert again.key == artifact.key
    assert warnings[0].startswith("its manifest is missing or unreadable; the damaged artifact was set aside")
