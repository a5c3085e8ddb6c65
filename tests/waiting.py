"""Waiting for events, and work that must be done at once, on machines of any speed and under any load."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

NEVER = 900.0
"""Seconds after which an event is said not to come. It ends a test that would hang, and decides nothing else."""


def until(event: Callable[[], T], what: str, *, alive: Callable[[], object] = lambda: True) -> T:
    """What `event` gives as soon as it is true; an error at once where nothing is left that could bring it about.

    Args:
        alive: whether the process that it is waited for is still there.
    """
    deadline = time.monotonic() + NEVER
    while time.monotonic() < deadline:
        last = not alive()  # asked before the event, which may come just before the end
        if found := event():
            return found
        if last:
            raise AssertionError(f"no {what}: the process has ended")
        time.sleep(0.05)
    raise AssertionError(f"no {what} in {NEVER:.0f} s")


@contextmanager
def at_once(cpu_seconds: float = 30.0) -> Iterator[None]:
    """Work that takes a moment, where what it guards against takes many minutes or has no end.

    It is the processor's time of this thread that counts, which other processes do not lengthen.
    """
    start = time.thread_time()
    yield
    spent = time.thread_time() - start
    assert spent < cpu_seconds, f"it took {spent:.1f} s of the processor's time"
