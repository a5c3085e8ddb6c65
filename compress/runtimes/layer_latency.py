"""What each size of a layer costs on a target, timed on real graphs: once for a machine, then kept.

The idea of a table for each layer size is that of ZipLM: Kurtic et al. 2023 (arXiv:2302.04089), section 3.2. Single
blocks, run in a loop, would find their weights in the processor's cache; so encoders of several layers are timed, all
with the same sizes, and a size's cost is what such an encoder takes more than the smallest one, for each layer.
"""

import copy
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress.context import Context
from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, Shape, positions_of, read_shape
from compress.models.export import export
from compress.models.reshape import cut_layer, keep_layers, layers_of, model_shape, set_heads
from compress.ops.budget import ladders, least_loss
from compress.ops.importance import LayerScores
from compress.recipe import Target
from compress.runtimes import load

PROBE_LAYERS = 4
"""Layers of a timed encoder, at most: enough that weights come from memory, few enough to be exported quickly."""
STEP = 0.85
"""Each timed number of neurons by the one above it; costs rise smoothly in between."""
TOKENS = 128
"""Rows of the table of embeddings in a timed encoder, at most: looking one up costs the same in a larger table."""
ROUNDS, CALLS, WARMUP = 7, 5, 2
SETTLE_SECONDS = 0.01
"""Between two encoders, so that threads of the one before have stopped spinning."""

Progress = Callable[[str, int, int], None]


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

    def choose(self, scores: Sequence[LayerScores], allowed_ms: float) -> tuple[list[int], list[int]] | None:
        """Sizes of the least loss that are predicted to take `allowed_ms` at most.

        Returns:
            (heads, neurons) by layer, or None where even the smallest sizes take longer.
        """
        heads, neurons = (
            {count: round(cost * 1000) for count, cost in costs.items()} for costs in (self.heads_ms, self.neurons_ms)
        )
        spare = math.floor((allowed_ms - self.smallest_ms(len(scores))) * 1000)
        sizes = least_loss(ladders(scores, heads, neurons), spare)  # in microseconds
        return None if sizes is None else (sizes[::2], sizes[1::2])

    def facts(self, heads: Sequence[int], neurons: Sequence[int]) -> dict[str, float]:
        """What is said of sizes that were chosen."""
        after = self.predict_ms(heads, neurons)
        return {
            "latency_before_ms": round(self.before_ms, 4),
            "predicted_latency_ms": round(after, 4),
            "predicted_speedup": round(self.before_ms / after, 3),
        }

    def predict_ms(self, heads: Sequence[int], neurons: Sequence[int]) -> float:
        """Of an encoder with these sizes in its layers."""
        own = sum(self.heads_ms[count] for count in heads) + sum(self.neurons_ms[count] for count in neurons)
        return self.smallest_ms(len(heads)) + own


def layer_latency(model: Any, multiple: int, target: Target, context: Context) -> LayerLatency:
    """The table for a model on a target: from the store, or timed now.

    Args:
        model: on the CPU; is left as it is.
        multiple: of which numbers of neurons are.

    Raises:
        InputError: the model does not take texts of the target's length.
    """
    config = model.config.to_dict()
    longest = positions_of(config)
    if longest is not None and target.sequence_length > longest:
        raise InputError(
            f"target.sequence_length: {target.sequence_length} is more than the {longest} tokens that the model can "
            "tell apart",
            fix=f"set target.sequence_length to {longest} at most",
        )
    shape = model_shape(model)
    assert shape is not None

    def make(out: Path) -> None:
        write_table(time_layers(model, multiple, target, context.task.hub_task, context.progress), out)

    settings = {
        "shape": asdict(shape),
        "activation": str(config.get("hidden_act", config.get("activation"))),
        "multiple_of": multiple,
        "target": target.model_dump(mode="json"),
        "host": {name: context.host.get(name) for name in ("cpu", "isa", "cores", "system", "versions")},
    }
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


def time_layers(model: Any, multiple: int, target: Target, hub_task: str, progress: Progress) -> LayerLatency:
    """Export an encoder of each size, and time all of them in turns.

    Args:
        model: on the CPU; is left as it is.
        multiple: see `sizes_to_time`.
    """
    shape = model_shape(model)
    assert shape is not None
    heads, neurons = sizes_to_time(shape, multiple)
    layers = min(shape.layers, PROBE_LAYERS)
    fewest = (heads[0], neurons[0])
    probes = [(heads[0], count) for count in neurons] + [(count, neurons[0]) for count in heads[1:]]
    encoders = [[sizes] * layers for sizes in probes]
    encoders += [[fewest] * 2 * layers, list(zip(shape.heads, shape.neurons, strict=True))]
    *each, long, before = _times(model, encoders, target, hub_task, progress)
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


def _times(
    model: Any,
    encoders: Sequence[Sequence[tuple[int, int]]],
    target: Target,
    hub_task: str,
    progress: Progress,
) -> list[float]:
    """Milliseconds of each encoder, given as the (heads, neurons) of its layers."""
    batch = _batch(target, min(TOKENS, model.config.vocab_size))
    calls: list[Callable[[], object]] = []
    for number, sizes in enumerate(encoders, 1):
        with tempfile.TemporaryDirectory() as folder:
            export(_encoder(model, sizes), Path(folder) / "model.onnx")
            calls.append(partial(load(Path(folder), target, hub_task), batch))
        progress("exporting layers of each size", number, len(encoders))
    return time_in_turns(calls, progress)


def time_in_turns(calls: Sequence[Callable[[], object]], progress: Progress) -> list[float]:
    """Milliseconds of each call: the median of `ROUNDS` rounds, in each of which every call has its turn.

    A turn counts as its fastest call: what else the machine does only ever adds to it.
    """
    samples: list[list[float]] = [[] for _ in calls]
    for number in range(ROUNDS):
        for call, own in zip(calls, samples, strict=True):
            time.sleep(SETTLE_SECONDS)
            for _ in range(WARMUP):
                call()
            taken = []
            for _ in range(CALLS):
                start = time.perf_counter()
                call()
                taken.append((time.perf_counter() - start) * 1000)
            own.append(min(taken))
        progress("timing layers of each size", number + 1, ROUNDS)
    return [statistics.median(own) for own in samples]


def _encoder(model: Any, sizes: Sequence[tuple[int, int]]) -> Any:
    """The model with other layers: of (heads, neurons) each, and with weights that say nothing."""
    architecture = ARCHITECTURES[model.config.model_type]
    shape = read_shape(model.config.to_dict())
    assert shape is not None
    made = copy.deepcopy(model)
    made.set_attn_implementation("eager")  # as for the export
    made.resize_token_embeddings(min(TOKENS, model.config.vocab_size), mean_resizing=False)
    keep_layers(made, [len(layers_of(made, architecture)) - 1] * len(sizes))
    layers = layers_of(made, architecture)
    for index, (heads, neurons) in enumerate(sizes):
        layer = layers[index] = copy.deepcopy(layers[index])
        cut_layer(layer, architecture, heads * shape.head_size, neurons)
        set_heads(layer, architecture, heads)
    return made.eval()


def _batch(target: Target, tokens: int) -> dict[str, np.ndarray[Any, Any]]:
    size = (target.batch_size, target.sequence_length)
    ids = np.random.default_rng(0).integers(2, tokens, size=size)
    zeros = np.zeros(size, dtype=np.int64)
    return {"input_ids": ids, "attention_mask": zeros + 1, "token_type_ids": zeros}


def write_table(table: LayerLatency, folder: Path) -> None:
    """Keep a table."""
    (folder / "latency.json").write_text(json.dumps(asdict(table), indent=1), encoding="utf-8")


def read_table(folder: Path) -> LayerLatency:
    """A table that `write_table` has kept."""
    kept = json.loads((folder / "latency.json").read_text(encoding="utf-8"))
    sizes = {name: {int(count): cost for count, cost in kept[name].items()} for name in ("heads_ms", "neurons_ms")}
    return LayerLatency(**{**kept, **sizes})
