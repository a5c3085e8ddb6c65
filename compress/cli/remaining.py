"""The time that a run still takes, estimated from its forecast and from its speed so far."""

import time
from collections.abc import Callable, Mapping

LEAST_SECONDS = 2.0
"""The shortest time of a step that counts for the speed of the run."""
PACES = (0.25, 4.0)
"""The bounds of the time that a run takes over the time that was forecast."""


class Remaining:
    """An estimate of the time left, which follows the run step by step.

    Args:
        forecast: the seconds of each step that is to do; without them there is no estimate for the whole run.
        clock: gives seconds that never go back.
    """

    def __init__(self, forecast: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._forecast, self._clock = dict(forecast), clock
        self._step: str | None = None
        self._began = self._piece_began = 0.0
        self._piece, self._share = "", 0.0
        self._expected = self._took = 0.0

    def started(self, step: str) -> None:
        """Take note that a step's work begins."""
        self._step, self._began = step, self._clock()
        self._piece, self._share = "", 0.0

    def progressed(self, what: str, done: int, total: int) -> None:
        """Take note of how far a piece of the step's work is."""
        if what != self._piece:
            self._piece, self._piece_began = what, self._clock()
        self._share = done / total if total else 0.0

    def done(self, step: str) -> None:
        """Take note that a step is done."""
        expected = self._forecast.pop(step, None)
        if step == self._step:
            took, self._step = self._clock() - self._began, None
            if expected is not None and took > LEAST_SECONDS:
                self._expected, self._took = self._expected + expected, self._took + took

    def seconds(self) -> float | None:
        """The time that all remaining work takes, or None where it is not known."""
        if not self._forecast:
            return None
        least, most = PACES
        pace = min(max(self._took / self._expected, least), most) if self._expected else 1.0
        seconds_left = sum(pace * seconds for step, seconds in self._forecast.items() if step != self._step)
        if self._step is None:
            return seconds_left
        by_forecast = pace * self._forecast.get(self._step, 0.0) - (self._clock() - self._began)
        return seconds_left + max(by_forecast, self._piece_seconds(), 0.0)

    def _piece_seconds(self) -> float:
        """The time that the current piece of work still takes at its speed so far."""
        if not 0 < self._share < 1:
            return 0.0
        return (self._clock() - self._piece_began) * (1 / self._share - 1)


def about(seconds: float) -> str:
    """A time in words, rounded as a forecast should be."""
    if seconds < 55:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    if seconds < 3600:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
