"""`compress` in a folder that refuses writing from the n-th time on: `refused_writes ERROR N FOLDER ARGUMENTS…`.

ERROR is ENOSPC, a full disk, which refuses what Python opens for writing below the folder; or EROFS, a read-only one,
which also refuses new folders, and names that change. What libraries write in other languages goes through.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Any

OPENED = "files opened for writing: "
WRITES = os.O_WRONLY | os.O_RDWR
NAMES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link")


def main() -> None:
    """Install the refusal, and run the command line."""
    error, left, folder = getattr(errno, sys.argv[1]), int(sys.argv[2]), os.path.realpath(sys.argv[3])
    refused = {"open", *(NAMES if error == errno.EROFS else ())}
    opened: list[str] = []

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in refused:
            return
        path, writes = arguments[0], event != "os.mkdir" or not Path(arguments[0]).is_dir()
        if event == "open":
            _, mode, flags = arguments
            writes = bool(flags & WRITES) if isinstance(flags, int) else any(letter in str(mode) for letter in "wax+")
        if writes and isinstance(path, str) and os.path.realpath(path).startswith(folder):
            left -= 1
            opened.append(path)
            if left < 0:
                raise OSError(error, os.strerror(error), path)

    sys.addaudithook(refuse)
    from compress.cli import main as command_line

    try:
        command_line(sys.argv[4:])
    finally:
        print(f"{OPENED}{len(opened)}")


if __name__ == "__main__":
    main()
