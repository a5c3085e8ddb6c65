import hashlib
import os
import re
import shutil
import stat
import subprocess
import zipfile

import pytest

from compress.data import wheels
from compress.data.wheels import PINS, fetch_wheel_file, parse_wheel_uri
from compress.errors import CompressError, InputError

ROWS = "text,label\na fine film,good\na bad film,bad\n"
URI = "pypi://tiny-rows==1.0/tiny_rows/data"


def build_wheel(folder, members, version="1.0"):
    """A real wheel of `tiny-rows`; `members` are (name or ZipInfo, text)."""
    path = folder / f"tiny_rows-{version}-py3-none-any.whl"
    info = f"tiny_rows-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-rows\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        for member, text in members:
            wheel.writestr(member, text)
        wheel.writestr(f"{info}/RECORD", "")
    return path


MEMBERS = (
    ("tiny_rows/__init__.py", ""),
    ("tiny_rows/data/train.csv", ROWS),
    ("tiny_rows/data/deep/manifest.json", "{}"),
    ("tiny_rows/database.csv", "not below data"),
)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def fetch_by_pip(cache):
    """Fetches from the wheel; `fetch_by_pip.announced` are the lines told."""

    def fetch_file(wheel=None, uri=URI, pin=None):
        pins = {"tiny-rows==1.0": pin or sha256(wheel)} if wheel or pin else {}
        return fetch_wheel_file(uri, cache=cache, pins=pins, where="r.yaml:3", announce=fetch_file.announced.append)

    fetch_file.announced = []
    return fetch_file


@pytest.fixture
def fetch(fetch_by_pip, tmp_path, monkeypatch):
    """The same without the half second that pip takes to find the index's only wheel."""

    def pip(command, **_):
        shutil.copy(next((tmp_path / "index").glob("*.whl")), command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(wheels, "run", pip)
    return fetch_by_pip


def kept(cache):
    """All that the cache holds but the locks."""
    return sorted(
        path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def test_a_pinned_wheel_gives_the_files_below_the_path(index, fetch, cache):
    wheel = build_wheel(index, MEMBERS)
    folder, key = fetch(wheel)
    assert (folder / "train.csv").read_text() == ROWS
    assert (folder / "deep" / "manifest.json").read_text() == "{}"
    assert not (folder.parent / "database.csv").exists()
    assert folder.is_relative_to(cache)
    assert key == f"pypi:tiny-rows==1.0:{sha256(wheel)}/tiny_rows/data"
    assert fetch.announced == ["downloading tiny-rows==1.0"]


def test_what_was_fetched_is_taken_again_without_pip(index, fetch):
    wheel = build_wheel(index, MEMBERS)
    pin = sha256(wheel)
    first = fetch(pin=pin)
    wheel.unlink()
    assert fetch(pin=pin) == first
    path, _ = fetch(pin=pin, uri="pypi://tiny-rows==1.0/tiny_rows/data/train.csv")
    assert path.read_text() == ROWS
    assert len(fetch.announced) == 1


@pytest.mark.parametrize("damage", ["changed", "missing", "unmarked"])
def test_a_tampered_file_is_extracted_again(index, fetch, damage):
    wheel = build_wheel(index, MEMBERS)
    folder, _ = fetch(wheel)
    if damage == "changed":
        (folder / "train.csv").write_text(ROWS.replace("good", "evil"))
    elif damage == "missing":
        (folder / "train.csv").unlink()
    else:
        (folder / "train.csv").write_text("half")
        (marker,) = folder.parents[2].glob("*.complete.json")
        marker.write_text('{"tiny_rows/data/tr')
    assert fetch(wheel)[0] == folder
    assert (folder / "train.csv").read_text() == ROWS


@pytest.mark.parametrize(
    "place", ["model.safetensors", "modeling.py", ".hidden", "deep/manifest.json.py", "../other.py"]
)
def test_a_file_beside_what_was_extracted_is_taken_away(index, fetch, place):
    wheel = build_wheel(index, MEMBERS)
    folder, _ = fetch(wheel)
    (folder / place).write_text("import os")
    assert fetch(wheel)[0] == folder
    assert sorted(path.name for path in folder.rglob("*")) == ["deep", "manifest.json", "train.csv"]
    assert not (folder / place).exists()


def test_a_link_in_the_place_of_what_was_extracted_is_replaced_and_its_target_left(index, fetch, tmp_path):
    wheel = build_wheel(index, MEMBERS)
    folder, _ = fetch(wheel)
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "thesis.txt").write_text("four years")
    (folder / "more").symlink_to(treasure)
    fetch(wheel)
    own = folder.parents[1]
    own.rename(tmp_path / "moved")
    own.symlink_to(treasure)
    fetch(wheel)
    assert (folder / "train.csv").read_text() == ROWS
    assert not own.is_symlink()
    assert [path.name for path in treasure.iterdir()] == ["thesis.txt"]


def test_a_marker_that_is_no_object_is_not_believed(index, fetch):
    wheel = build_wheel(index, MEMBERS)
    folder, _ = fetch(wheel)
    (marker,) = folder.parents[2].glob("*.complete.json")
    (folder / "train.csv").write_text("half")
    marker.write_text("[]")
    assert (fetch(wheel)[0] / "train.csv").read_text() == ROWS


def test_a_tampered_wheel_in_the_cache_is_downloaded_again(index, fetch, cache):
    wheel = build_wheel(index, MEMBERS)
    folder, _ = fetch(wheel)
    (in_cache,) = (cache / "wheels").iterdir()
    in_cache.write_bytes(b"evil")
    (folder / "train.csv").unlink()
    fetch(wheel)
    assert (folder / "train.csv").read_text() == ROWS
    assert sha256(in_cache) == sha256(wheel)
    assert len(fetch.announced) == 2


def test_a_wrong_pin_is_an_error_and_nothing_is_kept(index, fetch, cache):
    wheel = build_wheel(index, MEMBERS)
    with pytest.raises(CompressError) as caught:
        fetch(pin="0" * 64)
    assert caught.value.what == (f"the wheel tiny-rows==1.0 has the SHA-256 {sha256(wheel)}, not the pinned {'0' * 64}")
    assert (caught.value.where, caught.value.exit_code) == ("r.yaml:3", 1)
    assert kept(cache) == []


def test_a_wheel_without_a_pin_tells_its_hash_and_is_not_kept(index, fetch, cache):
    wheel = build_wheel(index, MEMBERS)
    with pytest.raises(InputError, match=r"the wheel tiny-rows==1.0 is not pinned") as caught:
        fetch()
    assert f"pins: {{'tiny-rows==1.0': {sha256(wheel)}}}" in caught.value.fix
    assert kept(cache) == []


def test_a_version_that_pip_does_not_find_is_an_error_with_pips_words(index, fetch_by_pip):
    build_wheel(index, MEMBERS, version="2.0")
    with pytest.raises(CompressError) as caught:
        fetch_by_pip(pin="0" * 64)
    assert caught.value.what == (
        "pip could not download tiny-rows==1.0: No matching distribution found for tiny-rows==1.0"
    )
    assert "python -m pip download --no-deps tiny-rows==1.0" in caught.value.fix


def test_a_wheel_that_is_no_archive_is_an_error(index, fetch_by_pip, cache):
    wheel = build_wheel(index, MEMBERS)
    wheel.write_bytes(wheel.read_bytes()[:-100])
    with pytest.raises(CompressError, match=r"pip could not download tiny-rows==1.0: Wheel .* is invalid"):
        fetch_by_pip(wheel)
    assert kept(cache) == []


def test_a_member_that_cannot_be_unpacked_is_an_error(index, fetch, cache):
    wheel = build_wheel(index, [("tiny_rows/data/train.csv", os.urandom(500).hex())])
    raw = bytearray(wheel.read_bytes())
    start = raw.index(b"tiny_rows/data/train.csv") + len("tiny_rows/data/train.csv")
    raw[start : start + 200] = bytes(200)
    wheel.write_bytes(raw)
    with pytest.raises(CompressError, match=r"the wheel tiny-rows==1.0 is not a readable archive") as caught:
        fetch(wheel)
    assert caught.value.where.endswith(".whl")
    assert [name for name in kept(cache) if not name.startswith("wheels/")] == []


def test_a_path_that_the_wheel_lacks_names_what_is_near(index, fetch):
    wheel = build_wheel(index, MEMBERS)
    with pytest.raises(InputError, match="holds nothing under 'tiny_rows/dat'") as caught:
        fetch(wheel, uri="pypi://tiny-rows==1.0/tiny_rows/dat")
    assert "tiny_rows/data/train.csv" in caught.value.fix


def special_member(kind):
    member = zipfile.ZipInfo("tiny_rows/data/link.csv")
    member.external_attr = (kind | 0o777) << 16
    return member, "/etc/hosts"


def packed_member(method):
    member = zipfile.ZipInfo("tiny_rows/data/packed.csv")
    member.compress_type = method
    return member, "evil"


@pytest.mark.parametrize(
    "member",
    [
        special_member(stat.S_IFLNK),
        special_member(stat.S_IFIFO),
        special_member(stat.S_IFCHR),
        packed_member(zipfile.ZIP_BZIP2),
        packed_member(zipfile.ZIP_LZMA),
        ("tiny_rows/data/../../../evil.csv", "evil"),
        ("tiny_rows/data/C:evil.csv", "evil"),
        ("tiny_rows/data/..\\evil.csv", "evil"),
        ("tiny_rows/data/./evil.csv", "evil"),
        ("tiny_rows/data//evil.csv", "evil"),
        ("tiny_rows/data/evil\n.csv", "evil"),
        ("tiny_rows/data/\x1b[2Jevil.csv", "evil"),
        ("tiny_rows/data/\u202evsc.evil", "evil"),
        ("tiny_rows/data/train.csv", "evil"),
        ("tiny_rows/data/TRAIN.csv", "evil"),
        ("tiny_rows/data/train.csv/evil", "evil"),
    ],
    ids=lambda member: ascii(member[0])[:60],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_unsafe_member_is_refused_and_nothing_is_extracted(index, fetch, cache, tmp_path, member):
    wheel = build_wheel(index, [*MEMBERS, member])
    with pytest.raises(CompressError, match="holds an unsafe member 'tiny_rows/data/") as caught:
        fetch(wheel)
    assert caught.value.fix == "do not use this wheel"
    assert [name for name in kept(cache) if not name.startswith("wheels/")] == []
    assert list(tmp_path.rglob("*evil*")) == []


def test_a_member_that_is_encrypted_is_refused(index, fetch):
    wheel = build_wheel(index, MEMBERS)
    raw = bytearray(wheel.read_bytes())
    entry = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 1) + 1)
    for _ in range(2):  # the members below the path
        entry = raw.index(b"PK\x01\x02", entry + 1)
        raw[entry + 8] |= 1
    wheel.write_bytes(raw)
    with pytest.raises(CompressError, match="holds an unsafe member 'tiny_rows/data/"):
        fetch(wheel)


def bomb(index, monkeypatch, lie=False):
    """A wheel whose one member unpacks to 4 MB, where 1 MB and 200 times the wheel's size are allowed."""
    monkeypatch.setattr("compress.data.wheels.SMALL_BYTES", 2**20)
    monkeypatch.setattr("compress.data.wheels._CHUNK", 2**16)
    wheel = build_wheel(index, [("tiny_rows/data/train.csv", bytes(4 * 2**20))])
    if lie:  # both headers say that the member has 100 bytes
        raw = wheel.read_bytes()
        assert raw.count((4 * 2**20).to_bytes(4, "little")) == 2
        wheel.write_bytes(raw.replace((4 * 2**20).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    return wheel


def test_a_decompression_bomb_is_refused_while_it_unpacks(index, fetch, cache, monkeypatch):
    wheel = bomb(index, monkeypatch)
    assert wheel.stat().st_size < 8000
    with pytest.raises(CompressError) as caught:
        fetch(wheel)
    assert caught.value.what == (
        "the wheel tiny-rows==1.0 holds 'tiny_rows/data/train.csv', which unpacks to more than any wheel needs"
    )
    assert [name for name in kept(cache) if not name.startswith("wheels/")] == []


def test_a_member_that_lies_of_its_size_is_no_readable_archive(index, fetch, cache, monkeypatch):
    with pytest.raises(CompressError, match="is not a readable archive"):
        fetch(bomb(index, monkeypatch, lie=True))
    assert [name for name in kept(cache) if not name.startswith("wheels/")] == []


@pytest.mark.parametrize(("most", "refused"), [(3, True), (4, False)])
def test_the_sum_of_all_members_is_bounded(index, fetch, monkeypatch, most, refused):
    monkeypatch.setattr("compress.data.wheels.MAX_BYTES", most * 1000)
    wheel = build_wheel(index, [(f"tiny_rows/data/{n}.csv", os.urandom(1000)) for n in range(4)])
    if refused:
        with pytest.raises(CompressError, match="unpacks to more than any wheel needs"):
            fetch(wheel)
    else:
        assert len(list(fetch(wheel)[0].iterdir())) == 4


def test_the_number_of_members_is_bounded(index, fetch, monkeypatch):
    monkeypatch.setattr("compress.data.wheels.MAX_MEMBERS", 3)
    wheel = build_wheel(index, [(f"tiny_rows/data/{n}.csv", "x") for n in range(4)])
    with pytest.raises(CompressError, match="holds 4 files under 'tiny_rows/data'; at most 3 are extracted"):
        fetch(wheel)


def test_an_unsafe_member_beside_the_path_is_never_written(index, fetch, tmp_path):
    wheel = build_wheel(index, [*MEMBERS, ("../evil.csv", "evil"), (f"{tmp_path}/evil.csv", "evil")])
    folder, _ = fetch(wheel)
    assert (folder / "train.csv").read_text() == ROWS
    assert list(tmp_path.rglob("*evil*")) == []


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("pypi://tiny-rows/data", "is not a wheel source"),
        ("pypi://tiny-rows==1.0", "is not a wheel source"),
        ("pypi://tiny-rows==1.0/", "is not a wheel source"),
        ("pypi://tiny rows==1.0/x", "is not a wheel source"),
        ("pypi://--pre==1.0/x", "is not a wheel source"),
        ("pypi://tiny-rows==1.0/../x", "the path '../x' leaves the wheel"),
        ("pypi://tiny-rows==1.0/a/../../x", "leaves the wheel"),
        ("pypi://tiny-rows==1.0//etc/passwd", "the path '/etc/passwd' leaves the wheel"),
        ("pypi://tiny-rows==1.0/a\\..\\x", "leaves the wheel"),
        ("pypi://tiny-rows==1.0/C:/x", "leaves the wheel"),
        ("pypi://tiny-rows==1.0.tar.gz/x", "is not a wheel source"),
        ("pypi://tiny-rows==1.0.ZIP/x", "is not a wheel source"),
    ],
)
def test_a_source_that_is_wrong_or_leaves_the_wheel_is_refused(fetch, cache, uri, what):
    with pytest.raises(InputError) as caught:
        fetch(uri=uri, pin="0" * 64)
    assert what in caught.value.what
    assert caught.value.where == "r.yaml:3"
    assert fetch.announced == []
    assert not cache.exists()


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("ERROR: Could not find a version\nERROR: No matching distribution found\n", "No matching distribution found"),
        ("ERROR: Exception:\nTraceback (most recent call last):\n  x\nKeyError: 'a'\n\n", "KeyError: 'a'"),
        ("WARNING: it retries\nno more\n", "no more"),
        ("", "it said nothing"),
    ],
)
def test_pips_last_words_are_told(stderr, words):
    assert wheels._last_words(stderr) == words


@pytest.mark.parametrize(("emptier", "move"), [("temporary", "the variable TMPDIR"), ("cache", "COMPRESS_CACHE")])
def test_a_disk_that_pip_fills_is_told_by_its_place(index, fetch_by_pip, cache, tmp_path, monkeypatch, emptier, move):
    def pip(command, **_):
        last = "OSError: [Errno 28] No space left on device"
        return subprocess.CompletedProcess(command, 2, "", f"ERROR: Exception:\nTraceback\n{last}\n")

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(wheels, "run", pip)
    monkeypatch.setattr(wheels.tempfile, "gettempdir", lambda: str(temporary))
    free = {"temporary": (9, 0), "cache": (0, 9)}[emptier]
    monkeypatch.setattr(wheels, "free_disk", lambda folder: free[folder == temporary])
    with pytest.raises(CompressError, match="the disk is full") as caught:
        fetch_by_pip(pin="0" * 64)
    assert move in caught.value.fix


def test_a_module_in_the_current_folder_is_not_taken_for_pip(index, fetch_by_pip, tmp_path, monkeypatch):
    for name in ("pip", "json", "zipfile", "typing"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\nraise SystemExit(1)\n")
    monkeypatch.chdir(tmp_path)
    wheel = build_wheel(index, MEMBERS)
    folder, key = fetch_by_pip(wheel)
    assert (folder / "train.csv").read_text() == ROWS
    assert key == f"pypi:tiny-rows==1.0:{sha256(wheel)}/tiny_rows/data"
    assert fetch_by_pip.announced == ["downloading tiny-rows==1.0"]
    assert not (tmp_path / "ran").exists()


def test_a_source_is_parted_into_dist_version_and_path():
    file = parse_wheel_uri("pypi://a.B-c_1==1!2.0+cpu/x/y z/", None)
    assert (file.requirement, file.path) == ("a.B-c_1==1!2.0+cpu", "x/y z")


def test_the_built_in_pins_are_hashes():
    assert [pin for pin in PINS.values() if not re.fullmatch("[0-9a-f]{64}", pin)] == []
    assert [name for name in PINS if name.count("==") != 1] == []
