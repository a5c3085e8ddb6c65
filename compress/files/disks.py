"""Errors of file systems in a person's words: a full disk, a path that is too long, missing rights."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from compress.errors import CompressError, InputError

FULL_BYTES = 65536
"""Free space below which a disk counts as full: a library's last block did not fit."""
TIGHT_BYTES = 64 * 2**20
"""Free space below which the disk may be the reason why a library failed."""
MOVE_RUNS, MOVE_TEMPORARY, MOVE_CACHE = "--runs-dir", "the variable TMPDIR", "the variable COMPRESS_CACHE"
"""The option or variable that moves the runs, the temporary files, and the downloads."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def free_disk(folder: Path) -> int:
    """Free bytes on the disk of `folder`, which need not exist yet."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.access(place, os.F_OK))
    return shutil.disk_usage(there).free


def can_write_below(path: Path) -> bool:
    """Whether a file or folder could be made at a path, with its missing parent folders."""
    there = next(place for place in (path, *path.absolute().parents) if os.access(place, os.F_OK))
    return there.is_dir() and os.access(there, os.W_OK)


def disk_error(error: OSError, path: Path, move: str = MOVE_RUNS) -> CompressError:
    """The error for a failed write, in a person's words.

    Args:
        path: the path that was written to.
        move: the option or variable that moves these files.
    """
    if error.errno == errno.ENAMETOOLONG:
        return too_long(error.filename if isinstance(error.filename, str) else path)
    if error.errno in _FULL:
        temporary = Path(tempfile.gettempdir())
        if free_disk(path) >= FULL_BYTES > free_disk(temporary):
            path, move = temporary, MOVE_TEMPORARY
        return CompressError(
            f"the disk is full ({free_disk(path) / 1e6:.0f} MB free)",
            where=str(path),
            fix=f"free some space or choose another place with {move}, then run again: finished steps are kept",
        )
    return CompressError(
        f"cannot write: {error.strerror or error}",
        where=str(path),
        fix="check that the folder is there and can be written, or choose another place",
    )


def too_long(path: Path | str) -> InputError:
    """The error for a path that is too long for file systems."""
    text = str(path)
    excerpt = text if len(text) <= 200 else f"{text[:100]}…{text[-90:]}"
    return InputError(
        f"the path is too long: {len(text):,} characters, {max(map(len, text.split('/'))):,} in its longest name",
        where=excerpt,
        fix="use shorter names, or a folder nearer to the root; most systems take 255 bytes a name and 4,095 in all",
    )


def system_error(error: OSError) -> CompressError:
    """The error for a refusal of the system to read or write, in a person's words."""
    place = error.filename if isinstance(error.filename, str) else None
    if error.errno == errno.ENAMETOOLONG:
        return too_long(place or "")
    if error.errno in _FULL:
        return disk_error(error, Path(place or tempfile.gettempdir()), MOVE_RUNS if place else MOVE_TEMPORARY)
    return CompressError(
        f"the system refuses: {error.strerror or error}",
        where=place,
        fix="check that it is there, and that you may read and write it",
    )


def is_disk_full(error: BaseException, folder: Path) -> bool:
    """Whether a full disk caused `error`, even if a library reports it in its own words or, as torch, not at all.

    Args:
        folder: the folder that was written to; the folder of temporary files is checked too.
    """
    if isinstance(error, CompressError | MemoryError):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "errno", None) in _FULL or os.strerror(errno.ENOSPC) in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError):
        return False
    return min(free_disk(place) for place in (folder, Path(tempfile.gettempdir()))) < FULL_BYTES


def cache_folder() -> Path:
    """The folder of downloads; the environment variable COMPRESS_CACHE changes it."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("COMPRESS_CACHE") or user_cache_path("compress"))


def tight_places() -> list[str]:
    """One sentence for each place with hardly any free space, which may be the reason for a library's failure."""
    places = {
        MOVE_TEMPORARY: Path(tempfile.gettempdir()),
        MOVE_CACHE: cache_folder(),
        MOVE_RUNS: Path(),
    }
    free = {move: free_disk(place) for move, place in places.items()}
    return [
        f"{free[move] / 1e6:.1f} MB are free in {place.absolute()}, which {move} moves"
        for move, place in places.items()
        if free[move] < TIGHT_BYTES
    ]
