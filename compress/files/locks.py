"""Locks between processes, as files that the system lets go of when their process dies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from compress.errors import Stopped
from compress.files.whole import make_way


def lock_at(path: Path, timeout: float = -1) -> FileLock:
    """The lock of a file, not yet held; what stands there and is no file goes, never what a link leads to.

    Args:
        timeout: seconds to wait for it; negative for as long as it takes.

    Raises:
        OSError: its folder cannot be made, or what stands there cannot be removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    make_way(path)
    return FileLock(path, timeout=timeout)


@contextmanager
def locked(path: Path, what: str, warn: Callable[[str], None], stopping: Callable[[], bool]) -> Iterator[None]:
    """Hold a lock.

    Args:
        path: of the lock's file.
        what: that another run may be at work on.
        warn: told in one sentence that another run is waited for.
        stopping: asked while waiting.

    Raises:
        Stopped: `stopping` said so.
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
