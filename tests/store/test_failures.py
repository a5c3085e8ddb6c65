"""The store when things go wrong: processes that meet or die, disks that are full or closed."""

import errno
import hashlib
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from compress.errors import CompressError, Stopped
from compress.files.whole import disk_error, file_sha256, write_text
from compress.store.artifacts import Identity
from compress.store.store import Store
from tests.waiting import NEVER

IDENTITY = Identity("distill", 1, {"layers": 2}, {"model": "abc"}, "rows", 0)
WEIGHTS = bytes(range(256)) * 16


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def write_weights(out, work):
    (out / "model.onnx").write_bytes(WEIGHTS)


def obtain(store, make):
    return store.obtain(IDENTITY, "onnx", make, host={})


def obtain_slowly(root, waiting):
    """In a process of its own: wait for the other one, then obtain the same artifact."""

    def make(out, work):
        time.sleep(0.3)
        (out / "maker.txt").write_text(str(os.getpid()))

    (waiting / str(os.getpid())).touch()
    while len(list(waiting.iterdir())) < 2:
        time.sleep(0.01)
    artifact, made = obtain(Store(root), make)
    return made, (artifact.path / "maker.txt").read_text() == str(os.getpid())


def test_two_processes_that_want_the_same_artifact_make_it_once(store, tmp_path):
    (tmp_path / "waiting").mkdir()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(obtain_slowly, store.root, tmp_path / "waiting") for _ in range(2)]
        results = [future.result(timeout=NEVER) for future in futures]
    assert sorted(results) == [(False, False), (True, True)]


def die_in_make(root):
    def make(out, work):
        (out / "model.onnx").write_bytes(WEIGHTS)
        os._exit(9)

    obtain(Store(root), make)


def without_rights(root):
    """In a process of its own: write as somebody who may not, and exit with 42 if that is told well."""
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        obtain(Store(root), write_weights)
    except CompressError as error:
        told = error.what == "cannot write: Permission denied" and "choose another place" in error.fix
        os._exit(42 if told and error.where.startswith(str(root)) else 1)


def exit_code(function, *arguments):
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join(NEVER)
    return process.exitcode


def test_a_process_that_dies_in_make_leaves_no_artifact_and_no_lock(store):
    assert exit_code(die_in_make, store.root) == 9
    assert store.get(IDENTITY) is None
    assert obtain(store, write_weights)[1] is True


def hold(root, holds):
    """In a process of its own: be at work on the artifact until killed, or the test's process ends."""

    def make(out, work):
        holds.set()
        multiprocessing.parent_process().join()

    obtain(Store(root), make)


@pytest.fixture
def holder(store):
    """A process that is at work on the artifact."""
    spawn = multiprocessing.get_context("spawn")
    holds = spawn.Event()
    process = spawn.Process(target=hold, args=(store.root, holds))
    process.start()
    assert holds.wait(NEVER)
    yield process
    process.kill()
    process.join(NEVER)


def test_the_lock_of_a_holder_that_is_killed_is_taken_over(store, holder):
    warnings = []

    def warn(message):
        warnings.append(message)
        holder.kill()

    artifact, made = store.obtain(IDENTITY, "onnx", write_weights, host={}, warn=warn)
    assert warnings == ["another run is at work on the same distill step: waiting for it"]
    assert made
    assert (artifact.path / "model.onnx").read_bytes() == WEIGHTS


def test_waiting_for_another_run_can_be_stopped(store, holder):
    asked = iter([False, False, True])
    with pytest.raises(Stopped):
        store.obtain(IDENTITY, "onnx", write_weights, host={}, stopping=lambda: next(asked))
    assert holder.is_alive()


def test_a_folder_that_may_not_be_written_is_told_with_a_fix(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    assert exit_code(without_rights, closed / "store") == 42


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_with_a_fix(store):
    with pytest.raises(CompressError, match=r"the disk is full \(\d+ MB free\)") as caught:
        obtain(store, lambda out, work: Path("/dev/full").write_bytes(WEIGHTS))
    assert "free some space" in caught.value.fix
    assert store.get(IDENTITY) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_spent_quota_are_the_same_to_a_person(number, tmp_path):
    error = disk_error(OSError(number, os.strerror(number)), tmp_path / "x")
    assert error.what.startswith("the disk is full")
    assert error.where == str(tmp_path / "x")


def test_text_is_written_whole_and_replaces_what_was_there(tmp_path):
    write_text(tmp_path / "a.txt", "long text")
    write_text(tmp_path / "a.txt", "ü")
    assert (tmp_path / "a.txt").read_bytes() == "ü".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_text_that_cannot_be_written_leaves_no_neighbour(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(CompressError, match="cannot write: Is a directory"):
        write_text(tmp_path / "a.txt", "text")
    with pytest.raises(CompressError, match="cannot write: No such file or directory"):
        write_text(tmp_path / "none" / "a.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_files_hash_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(WEIGHTS)
    assert file_sha256(tmp_path / "a") == hashlib.sha256(WEIGHTS).hexdigest()


def test_a_full_disk_told_by_a_library_is_told_as_one_and_leaves_no_output(tmp_path: Path) -> None:
    def make(out: Path, work: Path) -> None:
        (out / "half").write_bytes(b"x" * 1000)
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(CompressError, match="the disk is full") as caught:
        obtain(Store(tmp_path), make)
    assert "--runs-dir" in str(caught.value.fix)
    assert not list(tmp_path.rglob("half"))


def test_a_full_disk_that_a_library_does_not_tell_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(out: Path, work: Path) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 466944 vs 466832")

    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(CompressError, match=r"the disk is full \(0 MB free\)"):
        obtain(Store(tmp_path), make)


def test_an_error_of_the_stage_stays_what_it_is(tmp_path: Path) -> None:
    def make(out: Path, work: Path) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        obtain(Store(tmp_path), make)
