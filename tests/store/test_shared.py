"""The store at a URL: taken from and put to by stores of several machines, whatever stands there."""

import json
import os
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from compress.errors import InputError
from compress.files.whole import MANIFEST, fingerprint
from compress.store.shared import MARK, SharedStore, open_shared, shown, shown_arguments
from compress.store.store import Store
from tests.store.maker import IDENTITY, WEIGHTS, Maker


class Machine:
    """A machine with a store of its own."""

    def __init__(self, root, url):
        self.store = Store(root, open_shared(url))
        self.make, self.warnings = Maker(), []

    def obtain(self):
        return self.store.obtain(IDENTITY, "onnx", self.make, host={}, warn=self.warnings.append)


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    return f"memory://bucket-{uuid4()}/dir" if request.param == "memory" else f"file://{tmp_path}/shared/dir"


@pytest.fixture
def machine(tmp_path, url):
    """A new machine at each call."""
    return lambda: Machine(tmp_path / f"machine-{uuid4()}", url)


class There:
    """What stands at the URL."""

    def __init__(self, url):
        self.system, self.root = fsspec.core.url_to_fs(url)
        self.folder = f"{self.root}/{IDENTITY.folder}"

    def files(self):
        return sorted(path.removeprefix(f"{self.root}/") for path in self.system.find(self.root))

    def manifest(self):
        return json.loads(self.system.cat_file(f"{self.folder}/{MANIFEST}"))

    def file(self, name):
        return f"{self.folder}/{self.manifest()['digest'][:16]}/{name}"


@pytest.fixture
def there(url):
    return There(url)


def test_the_second_machine_makes_nothing_and_has_the_same_artifact(machine, there):
    first, second = machine(), machine()
    made, made_now = first.obtain()
    taken, made_again = second.obtain()
    assert (made_now, made_again, second.make.calls) == (True, False, 0)
    assert taken.path != made.path
    assert taken.manifest == made.manifest
    for name in ("config.json", "onnx/model.onnx", MANIFEST):
        assert (taken.path / name).read_bytes() == (made.path / name).read_bytes()
    assert (taken.path / "onnx/model.onnx").stat().st_mode & 0o222 == 0
    assert list((second.store.root / "scratch").iterdir()) == []
    assert first.warnings + second.warnings == []
    digest = made.manifest.digest[:16]
    files = [f"{digest}/config.json", f"{digest}/onnx/model.onnx", MANIFEST]
    assert there.files() == sorted([MARK, *(f"{IDENTITY.folder}/{name}" for name in files)])


def test_what_was_made_before_there_was_a_shared_store_is_put_there(machine, tmp_path, url):
    Store(tmp_path / "early").obtain(IDENTITY, "onnx", Maker(), host={})
    early = Machine(tmp_path / "early", url)
    assert early.obtain()[1] is False
    assert machine().obtain()[1] is False
    assert early.make.calls == 0


def test_a_plan_can_share_what_is_here_and_asks_once(machine, there):
    first = machine()
    first.store.share(IDENTITY, first.warnings.append)
    assert there.files() == [MARK]
    assert not machine().store.has(IDENTITY)
    first.obtain()
    assert machine().store.has(IDENTITY)


def test_an_artifact_without_a_manifest_is_not_there(machine, there):
    first, second = machine(), machine()
    first.obtain()
    there.system.rm(f"{there.folder}/{MANIFEST}")
    assert second.obtain()[1] is True
    assert second.warnings == []
    assert machine().obtain()[1] is False, "it was put there whole"


def rewritten(**changes):
    """A manifest of somebody who knows how it is sealed."""

    def damage(there):
        manifest = {**there.manifest(), **changes}
        del manifest["digest"]
        manifest["digest"] = fingerprint(manifest)
        there.system.pipe_file(f"{there.folder}/{MANIFEST}", json.dumps(manifest).encode())

    return damage


def other_bytes(there):
    there.system.pipe_file(there.file("onnx/model.onnx"), WEIGHTS[:-1] + b"x")


DAMAGES = {
    "other bytes": (other_bytes, "'onnx/model.onnx' is missing or changed"),
    "truncated": (lambda there: there.system.pipe_file(there.file("config.json"), b""), "missing or changed"),
    "half copied": (lambda there: there.system.rm(there.file("onnx/model.onnx")), "'onnx/model.onnx' is missing"),
    "no JSON": (lambda there: there.system.pipe_file(f"{there.folder}/{MANIFEST}", b"\xff{"), "manifest is missing or"),
    "empty": (lambda there: there.system.pipe_file(f"{there.folder}/{MANIFEST}", b""), "manifest is missing or"),
    "another key": (rewritten(key="f" * 64, files={}), "it has the key ffffffffffffffff"),
    "file above": (rewritten(files={"../../../x": "0" * 64}), "names '../../../x', outside of the folder"),
    "absolute": (rewritten(files={"/etc/hosts": "0" * 64}), "names '/etc/hosts', outside of the folder"),
    "its own manifest": (rewritten(files={MANIFEST: "0" * 64}), "'manifest.json' is missing"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_one_is_made_again_and_put_anew(machine, there, name, tmp_path):
    damage, message = DAMAGES[name]
    first, second, third = machine(), machine(), machine()
    first.obtain()
    damage(there)
    before = {path for path in tmp_path.rglob("*") if "machine-" not in str(path) and "shared" not in str(path)}
    artifact, made = second.obtain()
    assert (made, second.make.calls, len(second.warnings)) == (True, 1, 1)
    assert f"{IDENTITY.folder} is damaged in the shared store" in second.warnings[0]
    assert message in second.warnings[0]
    assert second.warnings[0].endswith("it is made and put there again")
    after = {path for path in tmp_path.rglob("*") if "machine-" not in str(path) and "shared" not in str(path)}
    assert after == before, "no file lands outside of the store"
    assert third.obtain() == (third.store.get(IDENTITY), False)
    assert third.store.get(IDENTITY).manifest == artifact.manifest
    assert third.warnings == []


def test_a_file_that_does_not_fit_on_the_disk_is_not_fetched(machine, monkeypatch):
    machine().obtain()
    monkeypatch.setattr("compress.store.shared.free_disk", lambda _: 1)
    second = machine()
    assert second.obtain()[1] is True
    assert second.warnings[0].endswith("and 0 MB are free; it is made here")


@pytest.mark.parametrize("operation", ["put_file", "get_file", "_open"])
def test_a_network_that_fails_in_mid_run_costs_warnings_only(tmp_path, monkeypatch, operation):
    url = f"memory://{uuid4()}"
    first, second = (Machine(tmp_path / name, url) for name in ("first", "second"))
    if operation == "get_file":
        first.obtain()

    def fail(*_, **__):
        raise ConnectionError(f"no route to {url}")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, operation, fail)
        artifact, made = second.obtain()
    assert made
    assert artifact == second.store.get(IDENTITY)
    assert second.warnings
    assert all("ConnectionError" in warning for warning in second.warnings)
    assert second.store.shared.warnings == second.warnings
    assert Machine(tmp_path / "second", url).obtain()[1] is False, "a later run puts it there"
    assert Machine(tmp_path / "third", url).obtain()[1] is False


@pytest.mark.parametrize(
    ("url", "what", "fix"),
    [
        ("bucket/dir", "'bucket/dir' is no URL of a folder", "write s3://BUCKET/FOLDER or file:///FOLDER"),
        ("simplecache::s3://bucket", "is no URL of a folder", "write s3://"),
        ("sftpp://host/dir", "'sftpp' is no protocol that fsspec knows", "did you mean 'sftp'?"),
        ("quux://bucket/dir", "'quux' is no protocol that fsspec knows", "s3, gs, az, sftp, file and others"),
    ],
)
def test_a_wrong_url_is_refused(url, what, fix):
    with pytest.raises(InputError) as caught:
        open_shared(url)
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert caught.value.where == "--store"


def test_a_package_that_is_missing_is_named(monkeypatch):
    from fsspec.registry import known_implementations

    known = {"class": "a_package_that_is_not_there.System", "err": "Install a_package to reach it"}
    monkeypatch.setitem(known_implementations, "nowhere", known)
    with pytest.raises(InputError, match="'nowhere://bucket' needs a package that is not installed") as caught:
        open_shared("nowhere://bucket")
    assert caught.value.fix == "Install a_package to reach it"


@pytest.mark.parametrize(
    ("error", "reason", "fix"),
    [
        (FileNotFoundError("no such bucket"), "it is not there", "make the bucket first"),
        (PermissionError("Access Denied"), "access is refused", "credentials come from the environment"),
        (NotImplementedError(), "nothing can be written there", "give a bucket or a folder"),
        (RuntimeError("no answer\nfrom there"), "RuntimeError: no answer", "the network"),
    ],
)
def test_a_store_that_cannot_be_written_is_refused_in_one_sentence(monkeypatch, error, reason, fix):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(MemoryFileSystem, "put_file", fail)
    with pytest.raises(InputError) as caught:
        open_shared("memory://bucket/dir")
    assert caught.value.what == f"the store memory://bucket/dir cannot be used: {reason}"
    assert fix in caught.value.fix


@pytest.mark.skipif(os.name == "posix" and os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="access is refused"):
        open_shared(f"file://{tmp_path}/store")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        open_shared(f"file://{tmp_path}/file/store")


def test_a_relative_folder_is_the_same_one_for_workers_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = open_shared("FILE://here")
    assert shared.url == f"file://{Path.cwd()}/here"
    assert (tmp_path / "here" / MARK).is_file()


SECRETS = [
    ("sftp://me:s3cr3t@host/dir", "sftp://***@host/dir"),
    ("sftp://me:s3/cr@3t@host/dir", "sftp://***@host/dir"),
    ("https://host/dir?sig=s3cr3t", "https://host/dir?***"),
    ("s3://bucket/dir", "s3://bucket/dir"),
    ("me:s3cr3t@host", "***@host"),
]


@pytest.mark.parametrize(("url", "text"), SECRETS)
def test_a_url_is_shown_without_its_secrets(url, text):
    assert shown(url) == text
    assert repr(SharedStore(url)) == f"SharedStore({text!r})"
    assert shown_arguments(["run", "x@y", "--store", url]) == ["run", "x@y", "--store", text]
    assert shown_arguments([f"--store={url}", "--force"]) == [f"--store={text}", "--force"]


@pytest.mark.parametrize("url", ["memory://me:s3cr%40t@host/dir?sig=t0k3n", "quux://me:s3cr%40t@host"])
def test_no_error_or_warning_tells_a_secret(monkeypatch, url, tmp_path):
    told = "login me:s3cr%40t with s3cr@t and t0k3n failed"

    def fail(*_, **__):
        raise ConnectionError(f"{told} at {url}")

    warnings = []
    artifact, _ = Store(tmp_path).obtain(IDENTITY, "onnx", Maker(), host={})
    monkeypatch.setattr(MemoryFileSystem, "_open", fail)
    with pytest.raises(InputError) as caught:
        open_shared(url)
    SharedStore(url).push(artifact, warnings.append)
    SharedStore(url).pull(IDENTITY, tmp_path / "out", warnings.append)
    for text in (str(caught.value), *warnings):
        assert not any(secret in text for secret in ("s3cr%40t", "s3cr@t", "t0k3n"))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert len(warnings) == 2


def test_a_workers_own_folder_depends_on_the_place_and_not_on_the_password():
    folders = {SharedStore(f"sftp://me:{word}@host/dir").local_folder() for word in ("one", "two")}
    assert len(folders) == 1
    assert SharedStore("s3://bucket/one").local_folder() != SharedStore("s3://bucket/two").local_folder()
