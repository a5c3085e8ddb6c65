"""Real timings of tiny encoders, and what counts of them."""

import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from compress.errors import InputError
from compress.models.cutting import cut
from compress.models.load import load_model
from compress.models.reshape import model_shape
from compress.recipe.schema import Target
from compress.sizing import layer_timing
from compress.sizing.layer_latency import time_layers
from compress.sizing.layer_timing import LayerTimer
from tests.families import ALIKE


class _Clock:
    """Time that passes only when told, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def perf_counter(self) -> float:
        return self.now


def test_calls_are_timed_in_turns_and_a_slow_one_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    monkeypatch.setattr(layer_timing, "time", clock)
    order: list[int] = []

    def sleeper(milliseconds: int) -> Callable[[], None]:
        def call() -> None:
            order.append(milliseconds)
            clock.sleep(milliseconds / 1000 + (1.0 if len(order) % 8 == 0 else 0.0))

        return call

    told: list[int] = []
    turns = [partial(layer_timing.turn, sleeper(2)), partial(layer_timing.turn, sleeper(6))]
    times = layer_timing.take_turns(turns, told.append)
    assert times == [[pytest.approx(2)] * 7, [pytest.approx(6)] * 7]
    assert [index for index, _ in itertools.groupby(order)] == [2, 6] * 7
    assert told == [1, 2, 3, 4, 5, 6, 7]


SLOWLY = [pytest.param(family, marks=pytest.mark.slow) for family in ("bert", "distilbert")]


@pytest.mark.parametrize("family", ["modernbert", *SLOWLY, *ALIKE])
def test_encoders_of_each_size_are_timed(
    family: str, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that has lost one of its four heads."""
    monkeypatch.setattr(layer_timing, "SETTLE_SECONDS", 0.0)
    model = load_model(make_model(family), "text-classification", labels=("no", "yes"))
    whole = model_shape(model)
    assert whole is not None
    cut(model, whole, [([3], [])] * 2)
    before = model_shape(model)
    told: list[tuple[str, int, int]] = []
    target = Target(threads=1, sequence_length=16)
    timer = LayerTimer(model, target, "text-classification", lambda *progress: told.append(progress))
    assert before is not None
    start = time.perf_counter()
    table = time_layers(timer, before, 32)
    elapsed_ms = 1000 * (time.perf_counter() - start)
    assert sorted(table.heads_ms) == [1, 2, 3]
    assert sorted(table.neurons_ms) == [32, 64]
    assert table.heads_ms[1] == table.neurons_ms[32] == 0
    assert 0.005 < table.before_ms < elapsed_ms
    assert told[-1] == ("timing layers of each size", 7, 7)
    assert model_shape(model) == before
    assert model.config.vocab_size > 32


def test_more_layers_take_longer_and_the_caller_may_run_where_it_could(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_timing, "SETTLE_SECONDS", 0.0)
    model = load_model(make_model("bert"), "text-classification", labels=("no", "yes"))
    cores = os.sched_getaffinity(0)
    timer = LayerTimer(model, Target(threads=1, sequence_length=16), "text-classification", lambda *_: None)
    few, many = timer.times([[(1, 8)], [(4, 64)] * 6], "layers")
    assert min(many) > min(few)  # what else the machine does can only add
    assert os.sched_getaffinity(0) == cores


def test_texts_longer_than_the_model_takes_are_not_timed(make_model: Callable[..., Path]) -> None:
    model = load_model(make_model("bert"), "text-classification", labels=("no", "yes"))
    with pytest.raises(InputError, match="sequence_length: 512 is more than the 256 tokens") as caught:
        LayerTimer(model, Target(sequence_length=512), "text-classification", lambda *_: None)
    assert caught.value.fix == "set target.sequence_length to 256 at most"
