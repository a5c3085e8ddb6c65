"""The timing of encoders with layers of given sizes on a target: real graphs, timed in turns."""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress.errors import InputError
from compress.export.export import export
from compress.machine.settling import SETTLE_SECONDS
from compress.models.architectures import ARCHITECTURES, positions_of
from compress.models.reshape import cut_layer, keep_layers, layers_of, model_shape, set_heads
from compress.recipe.schema import Target
from compress.runtimes import load

TOKENS = 128
"""Most rows of the table of embeddings in a timed encoder: a lookup takes the same time in a larger table."""
ROUNDS, CALLS, WARMUP = 7, 5, 2

Sizes = Sequence[tuple[int, int]]
"""(heads, neurons) of each layer of an encoder."""
Progress = Callable[[str, int, int], None]


class LayerTimer:
    """A timer of encoders that are like a model's, with other sizes and weights of their layers.

    Attributes:
        target: the target on which they run.
        activation: the activation function of the feed-forward neurons, by its name in the model's config.
    """

    def __init__(self, model: Any, target: Target, hub_task: str, progress: Progress) -> None:
        """Keep what is needed of the model: one layer, and a small table of embeddings.

        Args:
            model: a model on the CPU, which is not changed.

        Raises:
            InputError: the model does not take texts of the target's length.
        """
        config = model.config.to_dict()
        longest = positions_of(config)
        if longest is not None and target.sequence_length > longest:
            raise InputError(
                f"target.sequence_length: {target.sequence_length} is more than the {longest} tokens that the model "
                "can tell apart",
                fix=f"set target.sequence_length to {longest} at most",
            )
        shape = model_shape(model)
        assert shape is not None
        self.target, self.activation = target, str(config.get("hidden_act", config.get("activation")))
        self._head_size, self._hub_task, self._progress = shape.head_size, hub_task, progress
        self._model = copy.deepcopy(model)
        self._model.set_attn_implementation("eager")  # as for the export
        self._model.resize_token_embeddings(min(TOKENS, model.config.vocab_size), mean_resizing=False)
        keep_layers(self._model, [shape.layers - 1])

    def times(self, encoders: Sequence[Sizes], what: str) -> list[list[float]]:
        """Milliseconds of each encoder in each of `ROUNDS` rounds; in a round every encoder has a turn.

        Args:
            what: the name of the work, for the progress bar.
        """
        batch = self._batch()
        turns: list[Callable[[], float]] = []
        with ExitStack() as stack:
            for number, sizes in enumerate(encoders, 1):
                # in a thread of its own, which the runtime may pin
                thread = stack.enter_context(ThreadPoolExecutor(max_workers=1))
                with tempfile.TemporaryDirectory() as folder:
                    export(self._encoder(sizes), Path(folder) / "model.onnx")
                    predict = thread.submit(load, Path(folder), self.target, self._hub_task, exclusive=True).result()
                turns.append(partial(_in_thread, thread, partial(turn, partial(predict, batch))))
                self._progress(f"exporting {what}", number, len(encoders))
            return take_turns(turns, lambda number: self._progress(f"timing {what}", number, ROUNDS))

    def _encoder(self, sizes: Sizes) -> Any:
        architecture = ARCHITECTURES[self._model.config.model_type]
        encoder = copy.deepcopy(self._model)
        keep_layers(encoder, [0] * len(sizes))
        layers = layers_of(encoder, architecture)
        for index, (heads, neurons) in enumerate(sizes):
            layer = layers[index] = copy.deepcopy(layers[index])
            cut_layer(layer, architecture, heads * self._head_size, neurons)
            set_heads(layer, architecture, heads)
        return encoder.eval()

    def _batch(self) -> dict[str, np.ndarray[Any, Any]]:
        size = (self.target.batch_size, self.target.sequence_length)
        ids = np.random.default_rng(0).integers(2, self._model.config.vocab_size, size=size)
        zeros = np.zeros(size, dtype=np.int64)
        return {"input_ids": ids, "attention_mask": zeros + 1, "token_type_ids": zeros}


def _in_thread(thread: ThreadPoolExecutor, call: Callable[[], float]) -> float:
    return thread.submit(call).result()


def turn(call: Callable[[], object]) -> float:
    """Milliseconds of a call: the median of `CALLS` calls after some that do not count."""
    for _ in range(WARMUP):
        call()
    milliseconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        milliseconds.append((time.perf_counter() - start) * 1000)
    return statistics.median(milliseconds)


def take_turns(turns: Sequence[Callable[[], float]], after_round: Callable[[int], None]) -> list[list[float]]:
    """The result of each function in each of `ROUNDS` rounds, one function after the other within a round.

    Args:
        after_round: called with the number of finished rounds.
    """
    samples: list[list[float]] = [[] for _ in turns]
    for number in range(ROUNDS):
        for one, own in zip(turns, samples, strict=True):
            time.sleep(SETTLE_SECONDS)
            own.append(one())
        after_round(number + 1)
    return samples
