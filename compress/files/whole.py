"""Files and folders: written whole or not at all, never through a link, and hashed."""

import errno
import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from compress.errors import InputError
from compress.files.disks import MOVE_RUNS, disk_error

MANIFEST = "manifest.json"
"""Name of the file that describes a stored artifact; it is in the artifact's folder."""
LINEAGE = "lineage.json"
"""Name of the file that says where a run's last artifact came from."""
STEPS, FINAL = "steps", "final"
"""Folders of a run: the links to the steps' artifacts, and the final model."""
CARD = "README.md"
"""Name of the model card, as on the Hugging Face hub."""
WEIGHTS = (".safetensors", ".onnx", ".onnx_data", ".data", ".npy", ".npz")
"""Endings of large files that nobody edits by hand: read-only in the store, and shared by hard links."""
MAX_JSON_BYTES = 64 * 2**20
"""Largest config.json or index of a model that is read; the largest known ones have a few megabytes."""
_FICLONE = 0x40049409
"""Linux's request for a copy that shares its blocks with the original until one of them is written to."""


def fingerprint(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        OSError: the file cannot be read, or is not a plain file: a device or a pipe may never end.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_files(folder: Path) -> list[str]:
    """Relative paths of all files below `folder`, sorted, without its manifest."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path != folder / MANIFEST
    )


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in one of the small files of a model's folder.

    Raises:
        InputError: the file is too large, nested too deeply, not JSON, or not an object.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may never end
            raise InputError(f"the model's {path.name} is no plain file", where=str(path), fix="give the file itself")
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(
                f"the model's {path.name} has {path.stat().st_size:,} bytes; at most {MAX_JSON_BYTES:,} are read",
                where=str(path),
                fix="check the file",
            )
        content = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(content, ensure_ascii=False).encode()  # a \u escape may be half of a character
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the model's {path.name} cannot be read", where=str(path), fix="check the file") from error
    if not isinstance(content, dict):
        raise InputError(f"the model's {path.name} is not an object", where=str(path), fix="check the file")
    return content


def foreign_entries(folder: Path, known: Container[str]) -> list[str]:
    """Relative paths of everything below `folder` that is neither known nor a folder; links are not followed.

    The folder's own manifest does not count.
    """
    entries = (
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )
    return sorted(name for name in entries if name not in known and name != MANIFEST)


def stays_inside(path: Path, folder: Path) -> bool:
    """Whether a file below the folder of a model or a data set is really there, and no link leads out of the folder.

    The Hugging Face hub's cache has links as files: `snapshots/COMMIT/NAME` leads to `blobs/HASH` of the same
    repository, and nowhere else.
    """
    home, target = (Path(os.path.realpath(place)) for place in (folder, path))
    is_blob = home.parent.name == "snapshots" and path.is_symlink() and target.parent == home.parents[1] / "blobs"
    return is_blob or target.is_relative_to(home)


def remove_tree(path: Path) -> None:
    """Remove a folder with everything in it, a file, or a link (not its target). A missing path is no error.

    Raises:
        OSError: the path cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_path(path: Path) -> None:
    """Remove a link (not its target), a pipe or a socket from a path where this tool writes a plain file.

    A folder stays, and opening the file will raise the error.

    Raises:
        OSError: the path cannot be removed.
    """
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            path.unlink()


def ensure_folder(path: Path) -> None:
    """Make a folder and its parents if they are missing; a link or a file in its place is removed.

    Raises:
        OSError: the folder cannot be made.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)


def folder_bytes(folder: Path) -> int:
    """Size of an artifact on disk in bytes: all files of the folder except the manifest, the lineage and the card."""
    return sum((folder / name).stat().st_size for name in folder_files(folder) if name not in {LINEAGE, CARD})


def link_file(source: Path, target: Path, *, share: bool) -> None:
    """Make a file's content available at `target`: as a reflink, else as a hard link if allowed, else as a copy.

    A reflink and a copy are separate files, writable as new files are. A hard link is the same file under a second
    name: writing into one writes into both.

    Args:
        share: whether a hard link is allowed, if the file's ending is one of `WEIGHTS`.

    Raises:
        OSError: the target cannot be written.
    """
    if _clone(source, target):
        return
    if share and source.suffix in WEIGHTS:
        with suppress(OSError):  # another file system, too many links, or a file of another user
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    sync(target)


def _clone(source: Path, target: Path) -> bool:
    """Make `target` a reflink of `source`; False if the file system has no reflinks."""
    if sys.platform != "linux":
        return False
    from fcntl import ioctl

    try:
        with source.open("rb") as original, target.open("xb") as clone:
            ioctl(clone.fileno(), _FICLONE, original.fileno())
            os.fsync(clone.fileno())
    except FileExistsError:
        raise
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A context with an empty folder to fill, which is renamed to `path` at the end: whole or not at all.

    Args:
        replace: whether an older folder, file or link at `path` is removed. Otherwise `path` may only be an empty
            folder, or a link to one, which is filled.

    Raises:
        OSError: the folder cannot be written; what was at `path` stays.
    """
    path = path.parent.resolve() / path.name if replace else path.resolve()  # '.' has no name of its own
    neighbour, old = (path.with_name(f".{path.name}.{part}") for part in ("part", "old"))
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in (neighbour, old):  # of a run that was killed
        remove_tree(folder)
    neighbour.mkdir()
    try:
        yield neighbour
        sync(neighbour)
        if replace and os.path.lexists(path):
            path.rename(old)
        elif path.exists():
            path.rmdir()
        neighbour.rename(path)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(path):
            old.rename(path)
        shutil.rmtree(neighbour, ignore_errors=True)
        raise
    with suppress(OSError):  # what was asked for is there
        remove_tree(old)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; see `new_file`."""
    with new_file(path) as file:
        file.write(text)


@contextmanager
def new_file(path: Path, move: str = MOVE_RUNS) -> Iterator[TextIO]:
    """A context with a text file to fill, which is renamed to `path` at the end: whole or not at all.

    It is written in the same folder, synced, then renamed; a link at `path` is replaced. Line ends stay as they are.

    Args:
        move: the option or variable that moves the file, for error messages.

    Raises:
        CompressError: the file cannot be written; what was at `path` stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with suppress(FileNotFoundError):  # of a killed process of the same number; or a link
            temporary.unlink()
        with temporary.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):  # its folder may be no folder
            temporary.unlink()
        if isinstance(error, OSError):
            raise disk_error(error, path, move) from error
        raise


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
