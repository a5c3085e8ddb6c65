"""Files put in a second place: shared where that is safe, and folders that are written whole or not at all."""

import errno
import os
import stat

import pytest

from compress.files import whole as files
from compress.files.whole import WEIGHTS, folder_bytes, link_file, new_folder


@pytest.fixture
def no_reflinks(monkeypatch):
    monkeypatch.setattr(files, "_clone", lambda source, target: False)


def write(path, content=b"weights"):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("ending", WEIGHTS)
@pytest.mark.parametrize(("share", "links"), [(True, 2), (False, 1)])
def test_weights_are_hard_linked_only_where_that_is_allowed(tmp_path, no_reflinks, ending, share, links):
    source = write(tmp_path / f"model{ending}")
    source.chmod(0o444)
    link_file(source, tmp_path / "copy", share=share)
    assert (tmp_path / "copy").read_bytes() == b"weights"
    assert source.stat().st_nlink == links
    assert bool((tmp_path / "copy").stat().st_mode & stat.S_IWUSR) is not share


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocab.txt", "README.md", "merges"])
def test_files_that_people_edit_are_copied(tmp_path, name):
    source = write(tmp_path / name, b"{}")
    link_file(source, tmp_path / "copy", share=True)
    (tmp_path / "copy").write_text("edited")
    assert (source.read_bytes(), source.stat().st_nlink) == (b"{}", 1)


def test_where_links_are_refused_weights_are_copied(tmp_path, no_reflinks, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    source = write(tmp_path / "model.onnx")
    link_file(source, tmp_path / "copy.onnx", share=True)
    assert ((tmp_path / "copy.onnx").read_bytes(), source.stat().st_nlink) == (b"weights", 1)


def test_a_reflink_or_whatever_stands_for_it_is_a_file_of_its_own(tmp_path):
    source = write(tmp_path / "model.onnx")
    link_file(source, tmp_path / "copy.onnx", share=False)
    (tmp_path / "copy.onnx").write_bytes(b"other")
    assert source.read_bytes() == b"weights"


def test_a_folder_takes_the_place_of_the_old_one_at_once(tmp_path):
    for content in (b"one", b"two"):
        with new_folder(tmp_path / "a" / "final", replace=True) as folder:
            write(folder / "file", content)
            assert folder.parent == tmp_path / "a"
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["final"]
        assert (tmp_path / "a" / "final" / "file").read_bytes() == content


def test_a_folder_that_cannot_be_filled_leaves_the_old_one(tmp_path):
    write(tmp_path / "file")
    with new_folder(tmp_path / "final") as folder:
        write(folder / "file", b"one")
    with pytest.raises(OSError, match="No space"), new_folder(tmp_path / "final", replace=True) as folder:  # noqa: PT012
        write(folder / "file", b"two")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (tmp_path / "final" / "file").read_bytes() == b"one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "final"]


def test_what_was_put_there_meanwhile_is_left(tmp_path):
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "out") as folder:  # noqa: PT012
        write(folder / "file", b"one")
        (tmp_path / "out").mkdir()
        write(tmp_path / "out" / "mine", b"mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


def test_what_a_killed_run_left_is_swept_away(tmp_path):
    for name in (".final.part", ".final.old"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "half")
    with new_folder(tmp_path / "final") as folder:
        write(folder / "file")
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "file"]


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "final").symlink_to("there")
    with new_folder(tmp_path / "final") as folder:
        write(folder / "file")
    assert (tmp_path / "final").is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"weights"


def test_the_card_and_the_lineage_do_not_count_as_the_models_size(tmp_path):
    for name in ("model.onnx", "manifest.json", "lineage.json", "README.md"):
        write(tmp_path / name, b"1234567")
    assert folder_bytes(tmp_path) == 7
