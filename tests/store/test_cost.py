"""What a step cost is counted over all processes that worked on it."""

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from compress.store.cost import SPENT, Meter, Spent


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock finds it a second later, and the processors' at two."""
    wall, cpu = count(100.0), count(7.0, 2.0)

    def looks(times: Iterator[float]) -> object:
        return lambda: next(times)

    monkeypatch.setattr(time, "perf_counter", looks(wall))
    monkeypatch.setattr(time, "process_time", looks(cpu))


@pytest.mark.usefixtures("clocks")
def test_what_was_noted_before_a_cut_is_counted_after_it(tmp_path: Path) -> None:
    first = Meter(tmp_path)
    first.note()
    assert first.spent == Spent(2.0, 4.0), "without a cut it is counted once"
    assert Meter(tmp_path).spent == Spent(1.0 + 1.0, 2.0 + 2.0)


@pytest.mark.parametrize("content", [None, "", "[]", '{"seconds": 1'])
@pytest.mark.usefixtures("clocks")
def test_nothing_that_can_be_read_counts_as_nothing(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / SPENT).write_text(content)
    assert Meter(tmp_path).spent == Spent(1.0, 2.0)
