"""A training that is killed goes on to the very weights that it would have had."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.context import Context
from compress.errors import Stopped
from compress.models.tokenizer import Tokenizer
from compress.training import checkpoints
from compress.training.checkpoints import WHOLE, last_checkpoint
from compress.training.config import TrainingConfig
from compress.training.loop import train
from compress.training.order import ByLength

from .test_loop import FAST, context, fresh, weights  # noqa: F401  fixtures

Fresh = Callable[[], tuple[Any, Tokenizer]]


class Killed(BaseException):
    """What ends a training in the middle, as no handler of its own would."""


def killed_at(step: int) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if done == step:
            raise Killed

    return progress


@pytest.mark.parametrize("steps", [[11], [15], [24], [5, 13, 31]], ids=str)
@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_weights_after_kills_are_those_without(
    context: Context,  # noqa: F811
    fresh: Fresh,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    steps: list[int],
    accumulation: int,
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    config = TrainingConfig(epochs=6 * accumulation, gradient_accumulation=accumulation, **FAST)
    whole, tokenizer = fresh()
    expected = train(whole, tokenizer, config, replace(context, work=tmp_path / "whole"), what="w")
    work = tmp_path / "killed"
    for step in steps:
        model, tokenizer = fresh()
        with pytest.raises(Killed):
            train(model, tokenizer, config, replace(context, work=work, progress=killed_at(step)), what="w")
    model, tokenizer = fresh()
    begun: list[int] = []
    facts = train(
        model, tokenizer, config, replace(context, work=work, progress=lambda _, done, __: begun.append(done)), what="w"
    )
    assert begun[0] > 1, "it went on, and did not start anew"
    assert facts == expected
    assert torch.equal(weights(model), weights(whole))


def test_a_training_that_is_asked_to_stop_keeps_a_checkpoint_and_goes_on_to_the_same_weights(
    context: Context,  # noqa: F811
    fresh: Fresh,  # noqa: F811
    tmp_path: Path,
) -> None:
    config = TrainingConfig(epochs=6, **FAST)
    whole, tokenizer = fresh()
    expected = train(whole, tokenizer, config, replace(context, work=tmp_path / "whole"), what="w")
    seen: list[int] = []
    asked = replace(
        context,
        work=tmp_path / "asked",
        progress=lambda _, done, __: seen.append(done),
        stopping=lambda: len(seen) == 3,
    )
    model, tokenizer = fresh()
    with pytest.raises(Stopped):
        train(model, tokenizer, config, asked, what="w")
    assert seen == [1, 2, 3]
    (kept,) = (tmp_path / "asked").glob("*/checkpoint-*")
    assert kept.name == "checkpoint-6"  # the end of the first epoch comes before the tenth step
    model, tokenizer = fresh()
    facts = train(model, tokenizer, config, replace(asked, stopping=lambda: False), what="w")
    assert seen[3] == 7
    assert facts == expected
    assert torch.equal(weights(model), weights(whole))


def test_a_checkpoint_that_is_not_whole_is_removed(tmp_path: Path) -> None:
    for step in (10, 9, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert last_checkpoint(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_newest_whole_checkpoint_is_taken_wherever_it_stands_now(tmp_path: Path) -> None:
    for step in (9, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / WHOLE).touch()
        (folder / "trainer_state.json").write_text('{"best_model_checkpoint": "/somewhere/else/checkpoint-9"}')
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    state = (tmp_path / "checkpoint-10" / "trainer_state.json").read_text()
    assert str(tmp_path / "checkpoint-9") in state


def test_no_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "none") is None


def test_rows_are_grouped_by_length_and_each_comes_once() -> None:
    lengths = [(number * 7919) % 97 + 1 for number in range(400)]
    order = ByLength(lengths, batch=8, seed=3)
    first = list(order)
    assert sorted(first) == list(range(400))
    assert list(order) == first, "the same epoch, the same order"
    padding = sum(8 * max(lengths[row] for row in first[at : at + 8]) for at in range(0, 400, 8)) / sum(lengths)
    assert padding < 1.15  # rows in their own order take 1.75 times the tokens
    order.set_epoch(1)
    assert list(order) != first
