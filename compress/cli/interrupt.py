"""Ctrl-C: once asks the work to stop at its next safe point, twice stops it at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ASKED = "\nstopping at the next safe point (Ctrl-C again: at once) …\n"


class Interrupt:
    """Whether Ctrl-C was pressed.

    Attributes:
        asked: True from the first time on.
    """

    def __init__(self) -> None:
        self.asked = False

    def _answer(self, number: int, _frame: object) -> None:
        if self.asked:
            signal.default_int_handler(number, None)
        self.asked = True
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, ASKED.encode())  # print is not safe in a handler

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Answer Ctrl-C so while the block runs; outside of the main thread, leave it as it is."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._answer)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
