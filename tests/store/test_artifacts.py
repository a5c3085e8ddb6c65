import hashlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import CompressError
from compress.files.whole import MANIFEST, fingerprint, folder_bytes, folder_files
from compress.store.artifacts import DamagedArtifactError
from compress.store.store import Store
from tests.store.maker import IDENTITY, WEIGHTS, Maker


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def obtain(store, make, identity=IDENTITY, warnings=None):
    warn = (warnings if warnings is not None else []).append
    return store.obtain(identity, "onnx", make, host={"cpu": "this", "versions": {"numpy": "2.4.6"}}, warn=warn)


def test_a_key_is_the_hash_of_the_canonical_json():
    text = (
        '{"config":{"layers":2,"rate":0.1},"data":"rows","inputs":{"model":"abc"},'
        '"seed":0,"stage":"distill","version":1}'
    )
    assert IDENTITY.key == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "finetune"},
        {"version": 2},
        {"config": {"layers": 3, "rate": 0.1}},
        {"config": {"layers": 2, "rate": 0.1, "more": None}},
        {"inputs": {"model": "abd"}},
        {"inputs": {"teacher": "abc"}},
        {"data": "other rows"},
        {"seed": 1},
        {"package": "shrinker"},
    ],
)
def test_a_key_changes_with_each_part_of_the_identity(change):
    assert replace(IDENTITY, **change).key != IDENTITY.key


def test_a_key_does_not_mind_the_order_of_settings():
    assert replace(IDENTITY, config={"rate": 0.1, "layers": 2}).key == IDENTITY.key


def test_a_fingerprint_refuses_what_is_no_number():
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint({"rate": float("nan")})


def test_obtain_makes_once_and_then_takes(store):
    make = Maker()
    first, made_first = obtain(store, make)
    second, made_second = obtain(store, make)
    assert (made_first, made_second, make.calls) == (True, False, 1)
    assert second == first
    assert (second.path / "onnx" / "model.onnx").read_bytes() == WEIGHTS


def test_what_is_there_is_taken_from_a_store_that_cannot_be_written(store, monkeypatch):
    artifact, _ = obtain(store, Maker())

    def closed(*_, **__):
        raise AssertionError("asked for a lock")

    monkeypatch.setattr("compress.store.store.locked", closed)
    assert obtain(store, Maker()) == (artifact, False)


def test_another_identity_is_made_anew(store):
    make = Maker()
    first, _ = obtain(store, make)
    second, made = obtain(store, make, replace(IDENTITY, seed=1))
    assert (made, make.calls) == (True, 2)
    assert first.path != second.path


def test_the_manifest_says_what_was_made_and_hashes_every_file(store):
    start = time.perf_counter()
    manifest = obtain(store, Maker())[0].manifest
    elapsed = time.perf_counter() - start
    assert manifest.files == {
        "config.json": hashlib.sha256(b"{}").hexdigest(),
        "onnx/model.onnx": hashlib.sha256(WEIGHTS).hexdigest(),
    }
    assert (manifest.key, manifest.stage, manifest.seed) == (IDENTITY.key, "distill", 0)
    assert (manifest.facts, manifest.host, manifest.format) == ({"loss": 0.25}, {"cpu": "this"}, "onnx")
    assert manifest.versions == {"numpy": "2.4.6"}
    assert 0 <= manifest.seconds <= elapsed


def test_an_artifact_tells_the_facts_of_its_manifest(store):
    assert obtain(store, Maker())[0].facts == {"loss": 0.25}
    assert replace(obtain(store, Maker())[0], manifest=None).facts == {}


def test_nothing_is_left_in_scratch_after_a_commit(store):
    obtain(store, Maker())
    assert list((store.root / "scratch").iterdir()) == []


def test_a_file_called_manifest_deeper_down_is_hashed_too(store):
    def make(out, work):
        (out / "data").mkdir()
        (out / "data" / MANIFEST).write_text("12345")

    artifact, _ = obtain(store, make)
    assert list(artifact.manifest.files) == ["data/manifest.json"]
    assert folder_files(artifact.path) == ["data/manifest.json"]
    assert folder_bytes(artifact.path) == 5


def fail_after_writing(out, work):
    (out / "model.onnx").write_bytes(WEIGHTS)
    (work / "checkpoint").write_text("step 7")
    raise RuntimeError("loss is nan")


def test_a_failed_make_leaves_nothing_that_is_taken_for_whole(store):
    with pytest.raises(RuntimeError, match="loss is nan"):
        obtain(store, fail_after_writing)
    assert store.get(IDENTITY) is None
    assert obtain(store, Maker())[1] is True


def test_a_failed_make_leaves_its_checkpoints_but_not_its_output(store):
    with pytest.raises(RuntimeError, match="loss is nan"):
        obtain(store, fail_after_writing)
    seen = {}

    def resume(out, work):
        seen.update(out=list(out.iterdir()), work=(work / "checkpoint").read_text())
        (out / "model.onnx").write_bytes(WEIGHTS)

    assert obtain(store, resume)[0].manifest.files.keys() == {"model.onnx"}
    assert seen == {"out": [], "work": "step 7"}


def test_a_stage_that_writes_no_file_is_an_error(store):
    with pytest.raises(CompressError, match="the stage 'distill' wrote no file"):
        obtain(store, lambda out, work: None)
    assert store.get(IDENTITY) is None


def flip_a_bit(path):
    file = path / "onnx" / "model.onnx"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)


def edit_manifest(*, seal=True, **changes):
    """Changes a manifest as somebody would who knows how it is sealed, or as a bad disk."""

    def edit(path):
        manifest = json.loads((path / MANIFEST).read_text())
        for key, value in changes.items():
            manifest[key] = {**manifest[key], **value} if isinstance(value, dict) else value
        if seal:
            del manifest["digest"]
            manifest["digest"] = fingerprint(manifest)
        (path / MANIFEST).write_text(json.dumps(manifest))

    return edit


def link_outside(path):
    outside = path.parent / "outside"
    outside.write_bytes(WEIGHTS)
    (path / "onnx" / "model.onnx").unlink()
    (path / "onnx" / "model.onnx").symlink_to(outside)


def add(name, content=b"import os"):
    def write(path):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content)

    return write


def move_out_and_link(path):
    path.rename(path.parent / "elsewhere")
    path.symlink_to(path.parent / "elsewhere")


def link_manifest(path):
    (path / MANIFEST).rename(path.parent / "elsewhere.json")
    (path / MANIFEST).symlink_to(path.parent / "elsewhere.json")


def link_to_itself(path):
    (path / "config.json").unlink()
    (path / "config.json").symlink_to("config.json")


DAMAGES = {
    "flipped bit": (flip_a_bit, "'onnx/model.onnx' is missing or changed"),
    "truncated": (lambda path: os.truncate(path / "onnx" / "model.onnx", 100), "is missing or changed"),
    "missing file": (lambda path: (path / "config.json").unlink(), "'config.json' is missing or changed"),
    "another fact": (edit_manifest(seal=False, facts={"loss": 0.75}), "its manifest is not as it was written"),
    "another host": (edit_manifest(seal=False, host={"cpu": "thit"}), "its manifest is not as it was written"),
    "missing manifest": (lambda path: (path / MANIFEST).unlink(), "its manifest is missing or unreadable"),
    "garbled manifest": (lambda path: (path / MANIFEST).write_bytes(b"\xff{"), "missing or unreadable"),
    "truncated manifest": (lambda path: os.truncate(path / MANIFEST, 50), "missing or unreadable"),
    "another key": (edit_manifest(key="f" * 64), "has the key ffffffffffffffff"),
    "file above": (
        edit_manifest(files={"../x": "0" * 64}),
        "its manifest names '../x', outside of the folder",
    ),
    "absolute file": (edit_manifest(files={"/etc/hosts": "0" * 64}), "names '/etc/hosts', outside"),
    "link outside": (link_outside, "names 'onnx/model.onnx', outside of the folder"),
    "link to itself": (link_to_itself, "'config.json' is missing or changed"),
    "file with a zero": (edit_manifest(files={"a\0b": "0" * 64}), "b', outside of the folder"),
    "key with a path": (edit_manifest(key="../../../../outside"), "missing or unreadable"),
    "linked manifest": (link_manifest, "its manifest is missing or unreadable"),
    "linked folder": (move_out_and_link, "it is a link, not a folder"),
    "added weights": (add("model.safetensors"), "'model.safetensors' was added"),
    "added code": (add("onnx/modeling.py"), "'onnx/modeling.py' was added"),
    "added hidden file": (add(".DS_Store"), "'.DS_Store' was added"),
    "added manifest below": (add("onnx/manifest.json"), "'onnx/manifest.json' was added"),
    "added link": (lambda path: (path / "more").symlink_to("/"), "'more' was added"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_artifact_is_refused_set_aside_and_made_again(store, name):
    damage, message = DAMAGES[name]
    make, warnings = Maker(), []
    path = obtain(store, make)[0].path
    assert (path / "onnx" / "model.onnx").stat().st_mode & 0o777 == 0o444
    (path / "onnx" / "model.onnx").chmod(0o644)
    damage(path)
    with pytest.raises(DamagedArtifactError, match=message) as caught:
        store.get(IDENTITY)
    assert caught.value.where == str(path)

    artifact, made = obtain(store, make, warnings=warnings)
    assert (made, make.calls, len(warnings)) == (True, 2, 1)
    assert message in warnings[0]
    aside = list((store.root / "damaged").iterdir())
    assert len(aside) == 1
    assert f"set aside in {aside[0]} and is made again" in warnings[0]
    assert store.get(IDENTITY) == artifact
    assert obtain(store, make, warnings=warnings)[1] is False
    assert len(warnings) == 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").is_file(), reason="only Linux can count the peak anew")
def test_a_manifest_says_the_most_memory_that_its_own_making_took(store):
    def hungry(out, work):
        block = bytearray(256 * 2**20)
        return Maker()(out, work) | {"held": len(block)}

    much = obtain(store, hungry)[0].manifest.peak_memory_bytes
    little = obtain(store, Maker(), replace(IDENTITY, seed=1))[0].manifest.peak_memory_bytes
    assert much - little > 200 * 2**20
