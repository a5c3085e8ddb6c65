"""The table of what each size of a layer costs: sums, choices, and real timings of tiny encoders."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from compress.models.architectures import Shape
from compress.models.load import load_model
from compress.models.reshape import model_shape
from compress.ops.importance import LayerScores, PartScores
from compress.recipe import Target
from compress.runtimes import layer_latency
from compress.runtimes.layer_latency import (
    LayerLatency,
    read_table,
    sizes_to_time,
    time_layers,
    write_table,
)

TABLE = LayerLatency(
    before_ms=20.0,
    fixed_ms=0.5,
    layer_ms=1.0,
    heads_ms={1: 0.0, 2: 1.25, 3: 2.0, 4: 3.0},
    neurons_ms={8: 0.0, 16: 0.75, 32: 2.0, 64: 4.5},
)


def _scores(layers: int) -> list[LayerScores]:
    torch.manual_seed(0)
    return [LayerScores(PartScores(torch.rand(4)), PartScores(torch.rand(64) / 16)) for _ in range(layers)]


@pytest.mark.parametrize("allowed_ms", [2.5, 3.7, 5.0, 7.25, 10.0, 30.0])
def test_the_chosen_sizes_are_those_of_trying_everything(allowed_ms: float) -> None:
    scores = _scores(2)

    def loss(heads: tuple[int, ...], neurons: tuple[int, ...]) -> float:
        parts = [(layer.heads.scores, kept) for layer, kept in zip(scores, heads, strict=True)]
        parts += [(layer.neurons.scores, kept) for layer, kept in zip(scores, neurons, strict=True)]
        return sum(float(values.sort().values[: len(values) - kept].sum()) for values, kept in parts)

    every = itertools.product(
        itertools.product(TABLE.heads_ms, repeat=2), itertools.product(TABLE.neurons_ms, repeat=2)
    )
    best = min(loss(*sizes) for sizes in every if TABLE.predict_ms(*sizes) <= allowed_ms)
    found = TABLE.choose(scores, allowed_ms)
    assert found is not None
    heads, neurons = found
    assert TABLE.predict_ms(heads, neurons) <= allowed_ms
    assert loss(tuple(heads), tuple(neurons)) == pytest.approx(best)


def test_a_latency_below_that_of_the_smallest_sizes_is_not_reached() -> None:
    assert TABLE.smallest_ms(2) == pytest.approx(2.5)
    assert TABLE.choose(_scores(2), 2.499) is None
    assert TABLE.choose(_scores(2), 2.5) == ([1, 1], [8, 8])


def test_a_table_is_kept_and_read_again(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path)
    assert read_table(tmp_path) == TABLE
    assert json.loads((tmp_path / "latency.json").read_text())["heads_ms"]["2"] == 1.25


def test_sizes_to_time_hold_those_of_the_model_and_fall_in_multiples() -> None:
    heads, neurons = sizes_to_time(Shape("bert", 2, 384, 32, (12, 7), (1536, 1000)), 16)
    assert heads == list(range(1, 13))
    assert {16, 1000, 1536} <= set(neurons)
    assert all(count % 16 == 0 for count in neurons if count != 1000)
    assert all(0.5 <= small / large < 1 for small, large in itertools.pairwise(neurons))
    assert sizes_to_time(Shape("bert", 1, 32, 8, (2,), (4,)), 8) == ([1, 2], [4])


class _Clock:
    """Time that passes only when told, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def perf_counter(self) -> float:
        return self.now


def test_calls_are_timed_in_turns_and_slow_moments_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    monkeypatch.setattr(layer_latency, "time", clock)
    order: list[int] = []

    def sleeper(milliseconds: int) -> Callable[[], None]:
        def call() -> None:
            order.append(milliseconds)
            clock.sleep(milliseconds / 1000 + (1.0 if len(order) % 8 == 0 else 0.0))

        return call

    told: list[tuple[str, int, int]] = []
    times = layer_latency.time_in_turns([sleeper(2), sleeper(6)], lambda *progress: told.append(progress))
    assert times == [pytest.approx(2), pytest.approx(6)]
    assert [index for index, _ in itertools.groupby(order)] == [2, 6] * 7
    assert told[-1] == ("timing layers of each size", 7, 7)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "electra", "modernbert"])
def test_encoders_of_each_size_are_timed(family: str, make_model: Callable[..., Path]) -> None:
    model = load_model(make_model(family), "text-classification", labels=("no", "yes"))
    before = model_shape(model)
    told: list[tuple[str, int, int]] = []
    target = Target(threads=1, sequence_length=16)
    table = time_layers(model, 32, target, "text-classification", lambda *progress: told.append(progress))
    assert sorted(table.heads_ms) == [1, 2, 3, 4]
    assert sorted(table.neurons_ms) == [32, 64]
    assert table.heads_ms[1] == table.neurons_ms[32] == 0
    assert 0.005 < table.before_ms < 50
    assert told[-1] == ("timing layers of each size", 7, 7)
    assert model_shape(model) == before
    assert model.config.vocab_size > 32
