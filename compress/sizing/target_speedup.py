"""The sizes of layers that give a model a wanted speed-up on a target, at the least loss.

The table of sizes predicts sizes that are fast enough. These are timed as a whole model, in turns with the model
before, and chosen again for less or more time until the speed-up is reached.
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
"""Most choices of sizes that are timed as a whole model."""
NEAR = 1.03
"""A choice is good enough if it is faster than wanted by at most this factor."""


@dataclass(frozen=True)
class Timed:
    """Sizes that were timed as a whole model.

    Attributes:
        heads, neurons: the sizes of each layer.
        allowed_ms: the time for which the table gave these sizes.
        speedup: median over the rounds of the ratio of the time before to the time with these sizes.
        before_ms, after_ms: median times over the rounds.
    """

    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    allowed_ms: float
    speedup: float
    before_ms: float
    after_ms: float

    def facts(self) -> dict[str, float]:
        """The facts of the chosen sizes for the manifest."""
        return {
            "latency_before_ms": round(self.before_ms, 4),
            "timed_latency_ms": round(self.after_ms, 4),
            "timed_speedup": round(self.speedup, 3),
        }


class TargetSpeedup:
    """The search for sizes of a model's layers that give a wanted speed-up."""

    def __init__(self, model: Any, before: Shape, speedup: float, multiple: int, target: Target, context: Context):
        """Read the table of the model's layers on the target, or make it.

        Args:
            model: a model on the CPU, which is not changed.
            before: the model's shape.
            multiple: numbers of neurons are multiples of this.

        Raises:
            InputError: the model does not take texts of the target's length.
        """
        self.speedup, self._before = speedup, before
        self._timer = LayerTimer(model, target, context.task.hub_task, context.progress)
        self.table: LayerLatency = layer_latency(self._timer, before, multiple, context)

    def sizes_at(self, scores: Sequence[LayerScores], share: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(heads, neurons) by layer that save `share` of the time to be saved, by the table's prediction."""
        return self.table.choose(scores, self.table.before_ms * (1 - share * (1 - 1 / self.speedup)))

    def reach(self, scores: Sequence[LayerScores]) -> Timed:
        """The slowest of the timed sizes that are fast enough.

        Raises:
            CompressError: no sizes are fast enough.
        """
        enough: Timed | None = None
        too_slow: Timed | None = None
        tried_sizes: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        allowed = self.table.before_ms / self.speedup
        for _ in range(ATTEMPTS):
            sizes = self.table.choose(scores, allowed)
            if sizes in tried_sizes:
                break
            tried_sizes.add(sizes)
            timed = self._time(sizes, allowed)
            if timed.speedup >= self.speedup:
                enough = min(enough or timed, timed, key=lambda one: one.speedup)
                if enough.speedup <= self.speedup * NEAR:
                    break
            else:
                too_slow = max(too_slow or timed, timed, key=lambda one: one.speedup)
            if enough and too_slow:
                allowed = (enough.allowed_ms + too_slow.allowed_ms) / 2
            else:  # correct by the spare or missing time, in the table's milliseconds
                spare = timed.before_ms / self.speedup - timed.after_ms
                allowed += spare * self.table.before_ms / timed.before_ms
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
