"""Nothing is written through a link, and nothing that a link leads to is removed."""

import errno
import os
from pathlib import Path

import pytest

from compress.errors import CompressError, InputError
from compress.files import disks
from compress.files.disks import disk_error, is_disk_full, system_error, tight_places
from compress.files.locks import lock_at
from compress.files.whole import clear_path, ensure_folder, file_sha256, new_folder, write_text
from compress.unexpected import error_to_show


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of somebody else's, with a file."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    return folder


def precious(folder: Path) -> bool:
    return {path.name: path.read_text() for path in folder.iterdir()} == {"thesis.txt": "precious"}


@pytest.mark.parametrize("to", ["theirs", "theirs/thesis.txt", "nowhere"])
def test_a_new_folder_takes_the_place_of_a_link_and_leaves_what_it_leads_to(
    tmp_path: Path, theirs: Path, to: str
) -> None:
    link = tmp_path / "final"
    link.symlink_to(tmp_path / to)
    for part in ("part", "old"):
        (tmp_path / f".final.{part}").symlink_to(theirs)
    with new_folder(link, replace=True) as folder:
        (folder / "model").write_text("new")
    assert not link.is_symlink()
    assert [path.name for path in link.iterdir()] == ["model"]
    assert precious(theirs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final", "theirs"]


def test_a_failed_new_folder_puts_the_link_back(tmp_path: Path, theirs: Path) -> None:
    link = tmp_path / "final"
    link.symlink_to(theirs)
    with pytest.raises(RuntimeError), new_folder(link, replace=True):
        raise RuntimeError
    assert link.readlink() == theirs
    assert precious(theirs)


def test_a_place_that_the_user_names_may_be_a_link_to_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "out").symlink_to("there")
    with new_folder(tmp_path / "out") as folder:
        (folder / "model").write_text("new")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "there" / "model").read_text() == "new"


def test_a_text_replaces_a_link_also_in_the_place_of_its_neighbour(tmp_path: Path, theirs: Path) -> None:
    for name in ("recipe.yaml", f".recipe.yaml.{os.getpid()}"):
        (tmp_path / name).symlink_to(theirs / "thesis.txt")
    write_text(tmp_path / "recipe.yaml", "name: a")
    assert (tmp_path / "recipe.yaml").read_text() == "name: a"
    assert precious(theirs)


def test_a_lock_is_a_file_of_its_own(tmp_path: Path, theirs: Path) -> None:
    for number, make in enumerate((lambda path: path.symlink_to(theirs / "thesis.txt"), os.mkfifo)):
        make(tmp_path / f"{number}.lock")
        with lock_at(tmp_path / f"{number}.lock", timeout=0):
            assert (tmp_path / f"{number}.lock").is_file()
    assert precious(theirs)


def test_way_is_made_for_a_file_but_not_through_a_folder_or_a_file(tmp_path: Path, theirs: Path) -> None:
    clear_path(theirs)
    clear_path(theirs / "thesis.txt")
    clear_path(tmp_path / "nothing")
    assert precious(theirs)


def test_a_folder_of_ours_takes_the_place_of_a_link(tmp_path: Path, theirs: Path) -> None:
    (tmp_path / "steps").symlink_to(theirs)
    ensure_folder(tmp_path / "steps")
    assert list((tmp_path / "steps").iterdir()) == []
    ensure_folder(theirs)
    assert precious(theirs)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_never_ends_is_not_hashed(tmp_path: Path, make) -> None:
    make(tmp_path / "x")
    with pytest.raises(OSError, match="no plain file"):
        file_sha256(tmp_path / "x")


def free(monkeypatch: pytest.MonkeyPatch, temporary: Path, sizes: dict[Path, int], otherwise: int = 10**9) -> None:
    """Say how much is free in which folder."""
    monkeypatch.setattr(disks, "free_disk", lambda folder: sizes.get(folder, otherwise))
    monkeypatch.setattr(disks.tempfile, "gettempdir", lambda: str(temporary))


def test_a_full_disk_of_temporary_files_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    free(monkeypatch, temporary, {temporary: 1000})
    assert is_disk_full(ValueError("InvalidProtobuf"), tmp_path / "store")
    told = disk_error(OSError(errno.ENOSPC, "No space"), tmp_path / "store")
    assert told.where == str(temporary)
    assert "the variable TMPDIR" in str(told.fix)
    assert error_to_show(ValueError("InvalidProtobuf")).what == "the disk is full (0 MB free)"
    free(monkeypatch, temporary, {tmp_path / "store": 1000})
    told = disk_error(OSError(errno.ENOSPC, "No space"), tmp_path / "store")
    assert (told.where, "--runs-dir" in str(told.fix)) == (str(tmp_path / "store"), True)
    assert not is_disk_full(ValueError("x"), tmp_path)


def test_a_library_that_fails_where_little_is_left_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, tmp_path, {tmp_path: 300_000})
    told = error_to_show(ValueError("InvalidProtobuf"))
    assert told.what == "ValueError, where hardly any disk space is left: InvalidProtobuf"
    assert told.where == f"0.3 MB are free in {tmp_path}, which the variable TMPDIR moves"
    free(monkeypatch, tmp_path, {})
    assert tight_places() == []
    assert error_to_show(ValueError("x")).what == "unexpected ValueError: x"


def test_the_systems_refusals_are_told_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        (tmp_path / ("n" * 300)).exists()
    told = system_error(caught.value)
    assert isinstance(told, InputError)
    assert told.what.startswith("the path is too long: ")
    assert told.what.endswith("300 in its longest name")
    told = system_error(PermissionError(errno.EACCES, "Permission denied", "/x"))
    assert (told.what, told.where) == ("the system refuses: Permission denied", "/x")
    assert error_to_show(MemoryError()).what == "memory ran out"
    assert isinstance(error_to_show(FileNotFoundError(errno.ENOENT, "No such file", "/y")), CompressError)
