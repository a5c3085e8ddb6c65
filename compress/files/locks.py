"""Locks between processes: locked files, which the system releases when their process dies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from compress.errors import Stopped
from compress.files.whole import clear_path


def lock_at(path: Path, timeout: float = -1) -> FileLock:
    """The lock of a file, not yet held; anything at the path that is not a plain file is removed first.

    Args:
        timeout: seconds to wait for the lock; negative for no limit.

    Raises:
        OSError: the folder cannot be made, or the path cannot be cleared.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_path(path)
    return FileLock(path, timeout=timeout)


@contextmanager
def locked(path: Path, what: str, warn: Callable[[str], None], stopping: Callable[[], bool]) -> Iterator[None]:
    """A context that holds a lock.

    Args:
        path: the lock's file.
        what: the thing that another run may be working on, for the warning.
        warn: called with one sentence if another run has the lock.
        stopping: returns whether to stop waiting.

    Raises:
        Stopped: `stopping` returned True.
        OSError: the file cannot be written.
    """
    lock = lock_at(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        warn(f"another run is at work on {what}: waiting for it")
        try:
            lock.acquire(cancel_check=stopping)
        except Timeout:
            raise Stopped from None
    try:
        yield
    finally:
        lock.release()
