"""The table of what each size of a layer costs: sums and choices."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compress.models.architectures import Shape
from compress.ops.importance import LayerScores, PartScores
from compress.sizing.layer_latency import (
    LayerLatency,
    read_table,
    sizes_to_time,
    write_table,
)
from tests.latencies import predicted_ms

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
    best = min(loss(*sizes) for sizes in every if predicted_ms(TABLE, *sizes) <= allowed_ms)
    heads, neurons = TABLE.choose(scores, allowed_ms)
    assert predicted_ms(TABLE, heads, neurons) <= allowed_ms
    assert loss(heads, neurons) == pytest.approx(best)


@pytest.mark.parametrize("allowed_ms", [2.5, 2.499, 0.0, -1.0])
def test_for_a_latency_below_that_of_the_smallest_sizes_they_are_chosen(allowed_ms: float) -> None:
    assert TABLE.smallest_ms(2) == pytest.approx(2.5)
    assert TABLE.choose(_scores(2), allowed_ms) == ((1, 1), (8, 8))


def test_costs_that_noise_made_negative_are_chosen_from() -> None:
    noisy = replace(TABLE, heads_ms={1: 0.0, 2: -0.25, 3: 2.0, 4: 3.0})
    assert noisy.choose(_scores(2), 2.0) == ((2, 2), (8, 8))


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
