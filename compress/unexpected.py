"""The message for an error that no part of this tool has explained."""

import errno
import os
from pathlib import Path

from compress.errors import CompressError
from compress.files.disks import disk_error, is_disk_full, system_error, tight_places


def error_to_show(error: BaseException) -> CompressError:
    """The error to show: the system's refusal, a full disk, memory that ran out; any other is probably a bug."""
    if isinstance(error, CompressError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return system_error(error)
    if isinstance(error, MemoryError):
        return CompressError(
            "memory ran out", fix="take smaller inputs, a smaller batch_size or max_length, or a larger machine"
        )
    if is_disk_full(error, Path()):
        return disk_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), Path())
    first = next(iter(str(error).splitlines()), "")[:300]
    tight = tight_places()
    if tight:
        return CompressError(
            f"{type(error).__name__}, where hardly any disk space is left: {first}",
            where="; ".join(tight),
            fix="free some space there, or choose another place; if that does not help, run again with --debug",
        )
    return CompressError(
        f"unexpected {type(error).__name__}: {first}",
        fix="this is probably a bug in compress; run again with --debug and report it",
    )
