"""Sizes of layers that make a model so many times faster on a target, at the least loss.

The table of what each size costs predicts; then what it predicts is timed as a whole, beside the model before, and
chosen anew for less time, or for more, until it is as fast as was asked for.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compress.context import Context
from compress.errors import CompressError
from compress.models.architectures import Shape
from compress.ops.importance import LayerScores
from compress.recipe.schema import Target
from compress.sizing.layer_latency import LayerLatency, layer_latency, sizes_of
from compress.sizing.layer_timing import LayerTimer

ATTEMPTS = 6
"""Choices that are timed as a whole, at most."""
NEAR = 1.03
"""A choice that is faster than was asked for by no more than this is taken as it is."""


@dataclass(frozen=True)
class Timed:
    """Sizes that were timed as a whole.

    Attributes:
        heads, neurons: by layer.
        allowed_ms: what the table was asked for.
        speedup: median over the rounds of the time before by the time with these sizes, taken in turns.
        before_ms, after_ms: medians over the rounds.
    """

    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    allowed_ms: float
    speedup: float
    before_ms: float
    after_ms: float

    def facts(self) -> dict[str, float]:
        """What is said of sizes that were chosen."""
        return {
            "latency_before_ms": round(self.before_ms, 4),
            "timed_latency_ms": round(self.after_ms, 4),
            "timed_speedup": round(self.speedup, 3),
        }


class TargetSpeedup:
    """A speed-up that a model's layers are to be cut for."""

    def __init__(self, model: Any, before: Shape, speedup: float, multiple: int, target: Target, context: Context):
        """Read the table of the model's layers on the target, or make it.

        Args:
            model: on the CPU; is left as it is.
            before: its sizes.
            multiple: of which numbers of neurons are.

        Raises:
            InputError: the model does not take texts of the target's length.
        """
        self.speedup, self._before = speedup, before
        self._timer = LayerTimer(model, target, context.task.hub_task, context.progress)
        self.table: LayerLatency = layer_latency(self._timer, before, multiple, context)

    def on_the_way(self, scores: Sequence[LayerScores], share: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(heads, neurons) by layer after `share` of the time to be saved is saved, as the table predicts it."""
        return self.table.choose(scores, self.table.before_ms * (1 - share * (1 - 1 / self.speedup)))

    def reach(self, scores: Sequence[LayerScores]) -> Timed:
        """The slowest of the sizes timed that are fast enough.

        Raises:
            CompressError: none are.
        """
        enough: Timed | None = None
        too_slow: Timed | None = None
        seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        allowed = self.table.before_ms / self.speedup
        for _ in range(ATTEMPTS):
            sizes = self.table.choose(scores, allowed)
            if sizes in seen:
                break
            seen.add(sizes)
            found = self._time(sizes, allowed)
            if found.speedup >= self.speedup:
                enough = min(enough or found, found, key=lambda one: one.speedup)
                if enough.speedup <= self.speedup * NEAR:
                    break
            else:
                too_slow = max(too_slow or found, found, key=lambda one: one.speedup)
            if enough and too_slow:
                allowed = (enough.allowed_ms + too_slow.allowed_ms) / 2
            else:  # by what is to spare, or missing, in the table's own milliseconds
                spare = found.before_ms / self.speedup - found.after_ms
                allowed += spare * self.table.before_ms / found.before_ms
        if enough is None:
            assert too_slow is not None
            best = math.floor(too_slow.speedup * 100) / 100
            raise CompressError(
                f"min_speedup: {self.speedup:g} is not reached: the fastest sizes of {len(scores)} layers that were "
                f"timed are {best:g}x faster",
                fix=f"set min_speedup below {best:g}, or remove layers: layers: 0.5",
            )
        return enough

    def _time(self, sizes: tuple[tuple[int, ...], tuple[int, ...]], allowed_ms: float) -> Timed:
        encoders = [sizes_of(self._before), list(zip(*sizes, strict=True))]
        before, after = self._timer.times(encoders, "the sizes chosen")
        speedup = statistics.median(one / other for one, other in zip(before, after, strict=True))
        return Timed(*sizes, allowed_ms, speedup, statistics.median(before), statistics.median(after))
