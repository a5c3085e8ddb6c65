"""What each size of a layer costs on a target, timed on real graphs: once for a machine, then kept.

The idea of a table for each layer size is that of ZipLM: Kurtic et al. 2023 (arXiv:2302.04089), section 3.2. Single
blocks, run in a loop, would find their weights in the processor's cache; so encoders of several layers are timed, all
with the same sizes, and a size's cost is what such an encoder takes more than the smallest one, for each layer. Sums of
such costs come near a model's own time, and no nearer.
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
"""Layers of a timed encoder, at most: enough that weights come from memory, few enough to be exported quickly."""
STEP = 0.85
"""Each timed number of neurons by the one above it; costs rise smoothly in between."""


@dataclass(frozen=True)
class LayerLatency:
    """Medians in milliseconds, all on one target.

    Attributes:
        before_ms: the model as it is.
        fixed_ms: what is no layer: embeddings, pooler, head.
        layer_ms: a layer of one head and the fewest neurons.
        heads_ms: number of heads -> what they cost more than one.
        neurons_ms: number of neurons -> what they cost more than the fewest.
    """

    before_ms: float
    fixed_ms: float
    layer_ms: float
    heads_ms: Mapping[int, float]
    neurons_ms: Mapping[int, float]

    def smallest_ms(self, layers: int) -> float:
        """Of an encoder of so many of the smallest layers."""
        return self.fixed_ms + layers * self.layer_ms

    def choose(self, scores: Sequence[LayerScores], allowed_ms: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Sizes of the least loss that are predicted to take `allowed_ms` at most, or the least that any take.

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
    """The table for a model on a target: from the store, or timed now.

    Args:
        timer: of the model on the target.
        shape: of the model.
        multiple: of which numbers of neurons are.
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
    """Numbers of heads and of neurons whose costs the table is to hold, the smallest first.

    Args:
        multiple: of which numbers of neurons are, beside those that the model has.
    """
    neurons = set(shape.neurons)
    size = float(max(shape.neurons))
    while size > multiple:
        size *= STEP
        neurons.add(max(round(size / multiple), 1) * multiple)
    return list(range(1, max(shape.heads) + 1)), sorted(count for count in neurons if count <= max(shape.neurons))


def time_layers(timer: LayerTimer, shape: Shape, multiple: int) -> LayerLatency:
    """Time encoders of each size.

    Args:
        shape: of the model before.
        multiple: see `sizes_to_time`.
    """
    heads, neurons = sizes_to_time(shape, multiple)
    layers = min(shape.layers, PROBE_LAYERS)
    fewest = (heads[0], neurons[0])
    probes = [(heads[0], count) for count in neurons] + [(count, neurons[0]) for count in heads[1:]]
    encoders = [[sizes] * layers for sizes in probes]
    encoders += [[fewest] * 2 * layers, sizes_of(shape)]
    times = timer.times(encoders, "layers of each size")
    *each, long, before = (statistics.median(rounds) for rounds in times)
    found = dict(zip(probes, each, strict=True))
    smallest = found[fewest]
    layer = (long - smallest) / layers
    return LayerLatency(
        before_ms=before,
        fixed_ms=smallest - layers * layer,
        layer_ms=layer,
        heads_ms={count: (found[count, neurons[0]] - smallest) / layers for count in heads},
        neurons_ms={count: (found[heads[0], count] - smallest) / layers for count in neurons},
    )


def sizes_of(shape: Shape) -> list[tuple[int, int]]:
    """(heads, neurons) of each layer."""
    return list(zip(shape.heads, shape.neurons, strict=True))


def write_table(table: LayerLatency, folder: Path) -> None:
    """Keep a table."""
    (folder / "latency.json").write_text(json.dumps(asdict(table), indent=1), encoding="utf-8")


def read_table(folder: Path) -> LayerLatency:
    """A table that `write_table` has kept."""
    kept = json.loads((folder / "latency.json").read_text(encoding="utf-8"))
    sizes = {name: {int(count): cost for count, cost in kept[name].items()} for name in ("heads_ms", "neurons_ms")}
    return LayerLatency(**{**kept, **sizes})
