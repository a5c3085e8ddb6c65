"""Files and folders: written whole or not at all, hashed, and what a failed write means to a person."""

import errno
import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from compress.errors import CompressError

MANIFEST = "manifest.json"
"""Name of the file that says what a stored folder is; it stands beside what ships."""


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


def folder_bytes(folder: Path) -> int:
    """Size on disk of all that ships: every file of the folder but the manifest, in bytes."""
    return sum((folder / name).stat().st_size for name in folder_files(folder))


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


def says_disk_full(error: Exception) -> bool:
    """True for a full disk, also where a library tells it in an error of its own."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
