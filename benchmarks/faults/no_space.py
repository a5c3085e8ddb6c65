"""`compress` on a disk that is full from the n-th opening of a file on: `no_space N FOLDER ARGUMENTS…`.

It refuses what Python opens for writing below the folder; what libraries open in other languages goes through.
"""

import errno
import os
import sys
from typing import Any

OPENED = "files opened for writing: "
WRITES = os.O_WRONLY | os.O_RDWR


def main() -> None:
    """Install the refusal, and run the command line."""
    left, folder = int(sys.argv[1]), os.path.realpath(sys.argv[2])

    opened: list[str] = []

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event != "open":
            return
        path, mode, flags = arguments
        writes = bool(flags & WRITES) if isinstance(flags, int) else any(letter in str(mode) for letter in "wax+")
        if writes and isinstance(path, str) and os.path.realpath(path).startswith(folder):
            left -= 1
            opened.append(path)
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    sys.addaudithook(refuse)
    from compress.cli import main as command_line

    try:
        command_line(sys.argv[3:])
    finally:
        print(f"{OPENED}{len(opened)}")


if __name__ == "__main__":
    main()
