"""Sizes for a speed-up: the search over a table, against a clock that disagrees with it."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from compress.errors import CompressError
from compress.models.architectures import Shape
from compress.ops.importance import LayerScores, PartScores
from compress.sizing import target_speedup
from compress.sizing.layer_latency import LayerLatency
from compress.sizing.target_speedup import TargetSpeedup
from tests.latencies import predicted_ms

BEFORE = Shape("bert", 3, 32, 8, (4,) * 3, (64,) * 3)
TABLE = LayerLatency(
    before_ms=20.0,
    fixed_ms=0.5,
    layer_ms=1.0,
    heads_ms={1: 0.0, 2: 0.5, 3: 1.0, 4: 1.5},
    neurons_ms={size: (size - 8) / 14 for size in range(8, 65, 4)},
)


def _speedup(monkeypatch: pytest.MonkeyPatch, wanted: float, factor: float, fixed_ms: float = 0.0) -> TargetSpeedup:
    """One where an encoder takes `factor` times what the table says, and `fixed_ms` more; the model before, 20 ms."""

    class Timer:
        def __init__(self, *_: Any) -> None:
            pass

        def times(self, encoders: Sequence[Sequence[tuple[int, int]]], _what: str) -> list[list[float]]:
            before, chosen = encoders
            assert before == [(4, 64)] * 3
            after = fixed_ms + factor * predicted_ms(TABLE, *zip(*chosen, strict=True))
            return [[20.0, 40.0, 20.0], [after, 2 * after, after]]  # a slow round slows both

    monkeypatch.setattr(target_speedup, "LayerTimer", Timer)
    monkeypatch.setattr(target_speedup, "layer_latency", lambda *_: TABLE)
    context: Any = type("Context", (), {"task": type("Task", (), {"hub_task": ""}), "progress": None})
    target: Any = None
    return TargetSpeedup(None, BEFORE, wanted, 4, target, context)


def _scores() -> list[LayerScores]:
    torch.manual_seed(0)
    return [LayerScores(PartScores(torch.rand(4)), PartScores(torch.rand(64))) for _ in range(3)]


@pytest.mark.parametrize(
    ("factor", "fixed_ms"), [(1.0, 0.0), (1.3, 0.0), (1.0, 1.0), (0.6, 0.0), (1.2, 0.7), (0.5, 2.0)]
)
def test_a_wrong_table_is_corrected_until_the_speed_is_there(
    monkeypatch: pytest.MonkeyPatch, factor: float, fixed_ms: float
) -> None:
    found = _speedup(monkeypatch, 2.5, factor, fixed_ms).reach(_scores())
    assert 2.5 <= found.speedup <= 2.5 * 1.06
    assert found.before_ms == 20
    assert found.after_ms == pytest.approx(20 / found.speedup)
    assert found.facts()["timed_speedup"] == pytest.approx(found.speedup, abs=1e-3)


def test_a_speed_that_no_sizes_have_fails_with_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CompressError, match=r"min_speedup: 6 is not reached: .* of 3 layers .* are 5\.71x") as caught:
        _speedup(monkeypatch, 6, 1.0).reach(_scores())
    assert caught.value.fix == "set min_speedup below 5.71, or remove layers: layers: 0.5"


def test_on_the_way_the_table_says_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = _scores()
    sizes = _speedup(monkeypatch, 4, 1.0).sizes_at(scores, 0.5)
    assert 11.5 < predicted_ms(TABLE, *sizes) <= 12.5  # half of the way from 20 to 5 ms
