"""The table of the time that each size of a layer takes on a target, measured once for a machine on real graphs.

The idea of such a table is that of ZipLM: Kurtic et al. 2023 (arXiv:2302.04089), section 3.2. Single blocks in a loop
would find their weights in the processor's cache. So encoders of several layers of the same size are timed; a size's
cost is the time per layer that such an encoder takes above the smallest one. Sums of these costs approximate a model's
time.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from compress.context import Context
from compress.models.architectures import Shape
from compress.ops.budget import ladders, least_loss
from compress.ops.importance import LayerScores
from compress.sizing.layer_timing import LayerTimer

PROBE_LAYERS = 4
"""Most layers of a timed encoder: enough that weights come from memory, few enough for a quick export."""
STEP = 0.85
"""Ratio of each timed number of neurons to the next larger one; costs rise smoothly between them."""


@dataclass(frozen=True)
class LayerLatency:
    """The table of a model on a target: medians in milliseconds.

    Attributes:
        before_ms: time of the model as it is.
        fixed_ms: time outside of the layers: embeddings, pooler, head.
        layer_ms: time of a layer with one head and the fewest neurons.
        heads_ms: number of heads -> additional time over one head.
        neurons_ms: number of neurons -> additional time over the fewest.
    """

    before_ms: float
    fixed_ms: float
    layer_ms: float
    heads_ms: Mapping[int, float]
    neurons_ms: Mapping[int, float]

    def smallest_ms(self, layers: int) -> float:
        """Time of an encoder with a number of the smallest layers."""
        return self.fixed_ms + layers * self.layer_ms

    def predicted_ms(self, heads: int, neurons: int, layers: int) -> float:
        """Time of an encoder whose layers are all of one size; of sizes that were not timed, of the next larger one."""
        of_heads = self.heads_ms[min(count for count in self.heads_ms if count >= heads)]
        of_neurons = self.neurons_ms[min(count for count in self.neurons_ms if count >= neurons)]
        return self.smallest_ms(layers) + layers * (of_heads + of_neurons)

    def choose(self, scores: Sequence[LayerScores], allowed_ms: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The sizes of least loss with a predicted time of at most `allowed_ms`, or of the least possible time.

        Returns:
            (heads, neurons) by layer.
        """
        heads, neurons = (
            {count: round(cost * 1000) for count, cost in costs.items()} for costs in (self.heads_ms, self.neurons_ms)
        )
        parts = ladders(scores, heads, neurons)
        spare = math.floor((allowed_ms - self.smallest_ms(len(scores))) * 1000)
        sizes = least_loss(parts, max(spare, sum(min(part.costs) for part in parts)))  # in microseconds
        assert sizes is not None
        return tuple(sizes[::2]), tuple(sizes[1::2])


def layer_latency(timer: LayerTimer, shape: Shape, multiple: int, context: Context) -> LayerLatency:
    """The table of a model on a target, from the store or timed now.

    Args:
        timer: the timer of the model on the target.
        shape: the model's shape.
        multiple: numbers of neurons are multiples of this.
    """
    settings = {
        "shape": asdict(shape),
        "activation": timer.activation,
        "multiple_of": multiple,
        "target": timer.target.model_dump(mode="json"),
        "host": {name: context.host.get(name) for name in ("cpu", "isa", "cores", "system", "versions")},
    }

    def make(out: Path) -> None:
        write_table(time_layers(timer, shape, multiple), out)

    return read_table(context.cached("layer_latency", settings, {}, make).path)


def sizes_to_time(shape: Shape, multiple: int) -> tuple[list[int], list[int]]:
    """The numbers of heads and of neurons in the table, in ascending order.

    Args:
        multiple: numbers of neurons are multiples of this, or the model's own.
    """
    neurons = set(shape.neurons)
    size = float(max(shape.neurons))
    while size > multiple:
        size *= STEP
        neurons.add(max(round(size / multiple), 1) * multiple)
    return list(range(1, max(shape.heads) + 1)), sorted(count for count in neurons if count <= max(shape.neurons))


def time_layers(timer: LayerTimer, shape: Shape, multiple: int) -> LayerLatency:
    """The table of a model, timed now on encoders of each size.

    Args:
        shape: the model's shape.
        multiple: as in `sizes_to_time`.
    """
    heads, neurons = sizes_to_time(shape, multiple)
    layers = min(shape.layers, PROBE_LAYERS)
    fewest = (heads[0], neurons[0])
    probes = [(heads[0], count) for count in neurons] + [(count, neurons[0]) for count in heads[1:]]
    encoders = [[sizes] * layers for sizes in probes]
    encoders += [[fewest] * 2 * layers, sizes_of(shape)]
    times = timer.times(encoders, "layers of each size")
    *each, long, before = (statistics.median(rounds) for rounds in times)
    times_by_sizes = dict(zip(probes, each, strict=True))
    smallest = times_by_sizes[fewest]
    layer = (long - smallest) / layers
    return LayerLatency(
        before_ms=before,
        fixed_ms=smallest - layers * layer,
        layer_ms=layer,
        heads_ms={count: (times_by_sizes[count, neurons[0]] - smallest) / layers for count in heads},
        neurons_ms={count: (times_by_sizes[heads[0], count] - smallest) / layers for count in neurons},
    )


def sizes_of(shape: Shape) -> list[tuple[int, int]]:
    """The (heads, neurons) of each layer."""
    return list(zip(shape.heads, shape.neurons, strict=True))


def write_table(table: LayerLatency, folder: Path) -> None:
    """Write a table into a folder."""
    (folder / "latency.json").write_text(json.dumps(asdict(table), indent=1), encoding="utf-8")


def read_table(folder: Path) -> LayerLatency:
    """The table that `write_table` wrote into a folder."""
    content = json.loads((folder / "latency.json").read_text(encoding="utf-8"))
    sizes = {name: {int(count): cost for count, cost in content[name].items()} for name in ("heads_ms", "neurons_ms")}
    return LayerLatency(**{**content, **sizes})
