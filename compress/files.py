"""Files and folders: written whole or not at all, hashed, and what a failed write means to a person."""

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from compress.errors import CompressError, InputError

MANIFEST = "manifest.json"
"""Name of the file that says what a stored folder is; it stands beside what ships."""
LINEAGE = "lineage.json"
"""Name of the file that says where a run's last artifact came from."""
CARD = "README.md"
"""Name of the model card, as the Hugging Face hub has it."""
FULL_BYTES = 65536
"""A disk with less space than that left is full: a library's last block did not fit."""
WEIGHTS = (".safetensors", ".onnx", ".onnx_data", ".data", ".npy", ".npz")
"""Endings of large files that nobody edits by hand: read-only in the store, and shared by hard links."""
MAX_JSON_BYTES = 64 * 2**20
"""Of a model's config.json or index; the largest known ones have some megabytes."""
_FICLONE = 0x40049409
"""Linux's request for a copy that shares its blocks with the original until one of them is written to."""


def fingerprint(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
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
        InputError: it is too large, nested too deep, not JSON, or no object.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(
                f"the model's {path.name} has {path.stat().st_size:,} bytes; at most {MAX_JSON_BYTES:,} are read",
                where=str(path),
                fix="check the file",
            )
        found = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(found, ensure_ascii=False).encode()  # a \u escape may be half of a character
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the model's {path.name} cannot be read", where=str(path), fix="check the file") from error
    if not isinstance(found, dict):
        raise InputError(f"the model's {path.name} is not an object", where=str(path), fix="check the file")
    return found


def foreign_entries(folder: Path, known: Container[str]) -> list[str]:
    """Relative paths of all that stands below `folder` and is neither known nor a real folder; links are not followed.

    Its own manifest does not count.
    """
    found = (
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )
    return sorted(name for name in found if name not in known and name != MANIFEST)


def stays_home(path: Path, folder: Path) -> bool:
    """True if a file below a model's or a data set's folder is really there, and no link leads out of it.

    The Hugging Face hub's cache has links as files: `snapshots/COMMIT/NAME` leads to `blobs/HASH` of the same
    repository, and nowhere else.
    """
    home, target = (Path(os.path.realpath(place)) for place in (folder, path))
    is_blob = home.parent.name == "snapshots" and path.is_symlink() and target.parent == home.parents[1] / "blobs"
    return is_blob or target.is_relative_to(home)


def remove_tree(path: Path) -> None:
    """Remove a folder with all in it, or a file; of a link, only the link itself. What is gone already is no error.

    Raises:
        OSError: it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder_bytes(folder: Path) -> int:
    """Size on disk of what was made, in bytes: every file of the folder but the manifest, the lineage and the card."""
    return sum((folder / name).stat().st_size for name in folder_files(folder) if name not in {LINEAGE, CARD})


def link_file(source: Path, target: Path, *, share: bool) -> None:
    """Put a file's content at `target`: as a reflink, else as a hard link where that is allowed, else as a copy.

    A reflink and a copy are files of their own, writable as new files are. A hard link is the same file under a second
    name: whoever writes into one writes into both.

    Args:
        share: allow a hard link, if the file's ending is one of `WEIGHTS`.

    Raises:
        OSError: it cannot be written.
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
    """Make `target` a reflink of `source`; False where the file system has none."""
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
    """A neighbour of `path` to be filled, which takes its place at the end: whole or not at all.

    Args:
        replace: remove what stood there; otherwise only an empty folder may.

    Raises:
        OSError: it cannot be written; what stood at `path` is left.
    """
    path = path.resolve()  # '.' has no name of its own, and a link stays where it is
    neighbour, old = (path.with_name(f".{path.name}.{part}") for part in ("part", "old"))
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in (neighbour, old):  # of a run that was killed
        shutil.rmtree(folder, ignore_errors=True)
    neighbour.mkdir()
    try:
        yield neighbour
        sync(neighbour)
        if path.exists() and replace:
            path.rename(old)
        elif path.exists():
            path.rmdir()
        neighbour.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(neighbour, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def can_write_below(path: Path) -> bool:
    """Whether a file or folder could be made there, with the folders above it that are not there yet."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: to a neighbour first, synced, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # its folder may be no folder
            temporary.unlink()
        raise disk_error(error, path) from error


def disk_error(error: OSError, path: Path, move: str = "--runs-dir") -> CompressError:
    """What a failed write means to a person.

    Args:
        move: what chooses another place for these files.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(path.parent if path.parent.exists() else Path()).free
        return CompressError(
            f"the disk is full ({free / 1e6:.0f} MB free)",
            where=str(path),
            fix=f"free some space or choose another place with {move}, then run again: finished steps are kept",
        )
    return CompressError(
        f"cannot write: {error.strerror or error}",
        where=str(path),
        fix="check that the folder is there and can be written, or choose another place",
    )


def is_disk_full(error: Exception, folder: Path) -> bool:
    """True if a full disk made `error`, also where a library tells it in its own words, or as torch not at all.

    Args:
        folder: that was written to.
    """
    if isinstance(error, CompressError | MemoryError):
        return False
    told: BaseException | None = error
    while told is not None:
        if getattr(told, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(told):
            return True
        told = told.__cause__ or told.__context__
    return not isinstance(error, OSError) and shutil.disk_usage(folder).free < FULL_BYTES


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
