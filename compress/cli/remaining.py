"""How long a run still takes, as far as that is known: out of its forecast, and of how the work goes."""

import time
from collections.abc import Callable, Mapping

LEAST_SECONDS = 2.0
"""A step that took less says nothing about how fast the others go."""
PACES = (0.25, 4.0)
"""A run is taken to go at most so many times as fast, and as slow, as it was forecast."""


class Remaining:
    """Seconds left, step by step.

    Args:
        forecast: seconds of each step that is to do; without them nothing is said of the whole run.
        clock: seconds that never go back.
    """

    def __init__(self, forecast: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._forecast, self._clock = dict(forecast), clock
        self._step: str | None = None
        self._began = self._piece_began = 0.0
        self._piece, self._share = "", 0.0
        self._expected = self._took = 0.0

    def started(self, step: str) -> None:
        """A step's work begins."""
        self._step, self._began = step, self._clock()
        self._piece, self._share = "", 0.0

    def progressed(self, what: str, done: int, total: int) -> None:
        """A piece of the step's work has come so far."""
        if what != self._piece:
            self._piece, self._piece_began = what, self._clock()
        self._share = done / total if total else 0.0

    def done(self, step: str) -> None:
        """The step's artifact is there."""
        expected = self._forecast.pop(step, None)
        if step == self._step:
            took, self._step = self._clock() - self._began, None
            if expected is not None and took > LEAST_SECONDS:
                self._expected, self._took = self._expected + expected, self._took + took

    def seconds(self) -> float | None:
        """Of all that is left, or None where that is not known."""
        if not self._forecast:
            return None
        least, most = PACES
        pace = min(max(self._took / self._expected, least), most) if self._expected else 1.0
        left = sum(pace * seconds for step, seconds in self._forecast.items() if step != self._step)
        if self._step is None:
            return left
        by_forecast = pace * self._forecast.get(self._step, 0.0) - (self._clock() - self._began)
        return left + max(by_forecast, self._of_piece(), 0.0)

    def _of_piece(self) -> float:
        """What is left of the piece at work, at the speed that it has had."""
        if not 0 < self._share < 1:
            return 0.0
        return (self._clock() - self._piece_began) * (1 / self._share - 1)


def about(seconds: float) -> str:
    """A time as a forecast deserves to be said."""
    if seconds < 55:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    if seconds < 3600:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
