"""Ctrl-C: once asks the work to stop at its next safe point, twice stops it at once; and signals that end a command."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGHUP)
LAST_SECONDS = 10.0
"""The time in which a command that is told to end at once can end by itself."""
ASKED = "\nstopping at the next safe point (Ctrl-C again: at once) …\n"


class Interrupt:
    """Whether Ctrl-C was pressed.

    Attributes:
        is_pressed: True from the first time on.
    """

    def __init__(self) -> None:
        self.is_pressed = False

    def _answer(self, number: int, _frame: object) -> None:
        if self.is_pressed:
            signal.default_int_handler(number, None)
        self.is_pressed = True
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, ASKED.encode())  # print is not safe in a handler

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle Ctrl-C in this way while the block runs; outside of the main thread, leave it as it is."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._answer)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command like an exception: processes are stopped, scratch files removed.

    Python handles a signal between two of its own instructions, and a call into a library may delay that for ever. So a
    thread ends the process `LAST_SECONDS` after such a signal, or after the second Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> NoReturn:
        sys.stderr.write(f"stopped by {signal.Signals(number).name}\n")
        sys.exit(128 + number)

    heard = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, end) for number in heard}
    with _last_resort():
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _last_resort() -> Iterator[None]:
    """End the process some seconds after a signal to end, if Python has not ended it by then."""
    theirs, ours = os.pipe()
    os.set_blocking(ours, False)
    done = threading.Event()

    def watch() -> None:
        interrupts = 0
        while numbers := os.read(theirs, 64):
            interrupts += numbers.count(signal.SIGINT)
            ends = next((number for number in numbers if number in ENDING), None)
            if ends is None and interrupts > 1:
                ends = signal.SIGINT
            if ends is not None and not done.wait(LAST_SECONDS):
                os._exit(128 + ends)

    before = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True, name="last resort")
    watcher.start()
    try:
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        os.close(ours)
        watcher.join()
        os.close(theirs)
