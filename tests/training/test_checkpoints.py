"""A training that is killed goes on to the very weights that it would have had."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.context import Context
from compress.errors import Stopped
from compress.models.tokenizer import Tokenizer
from compress.store.cost import Meter
from compress.training import checkpoints
from compress.training.checkpoints import WHOLE, last_checkpoint, mark_whole
from compress.training.config import TrainingConfig
from compress.training.loop import train
from compress.training.order import ByLength

from .conftest import FAST, weights

Fresh = Callable[[], tuple[Any, Tokenizer]]


class Killed(BaseException):
    """What ends a training in the middle, as no handler of its own would."""


def killed_at(step: int) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if done == step:
            raise Killed

    return progress


@pytest.fixture(scope="module")
def unkilled() -> dict[tuple[int, int | None], tuple[dict[str, Any], torch.Tensor]]:
    """What a training without kills gives, facts and weights by its settings; each is trained once."""
    return {}


@pytest.mark.parametrize(
    ("accumulation", "validations", "steps"),
    [
        (1, None, [5, 12, 19]),  # 12 is the end of an epoch
        (2, None, [5, 13, 19]),
        (1, 5, [6, 16]),  # after the validations at 5 and at 15
        *(
            pytest.param(accumulation, None, steps, marks=pytest.mark.slow)
            for accumulation, steps in ((1, [11]), (1, [15]), (1, [18]), (2, [11]), (2, [15]), (2, [18]))
        ),
    ],
    ids=str,
)
def test_the_weights_after_kills_are_those_without(
    context: Context,
    fresh: Fresh,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    steps: list[int],
    accumulation: int,
    validations: int | None,
    unkilled: dict[tuple[int, int | None], tuple[dict[str, Any], torch.Tensor]],
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    config = TrainingConfig(
        epochs=4 * accumulation, gradient_accumulation=accumulation, validations=validations, **FAST
    )
    settings = (accumulation, validations)
    if settings not in unkilled:
        whole, tokenizer = fresh()
        told = train(whole, tokenizer, config, replace(context, work=tmp_path / "whole"), what="w")
        unkilled[settings] = told, weights(whole)
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
    expected, expected_weights = unkilled[settings]
    assert facts == expected
    assert torch.equal(weights(model), expected_weights)


def test_a_training_that_is_asked_to_stop_keeps_a_checkpoint_and_goes_on_to_the_same_weights(
    context: Context,
    fresh: Fresh,
    tmp_path: Path,
) -> None:
    config = TrainingConfig(epochs=3, **FAST)
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
    assert Meter(tmp_path / "asked").spent.cpu_seconds > 0, "what it cost so far is not forgotten"
    (kept,) = (tmp_path / "asked").glob("*/checkpoint-*")
    assert kept.name == "checkpoint-6"  # the end of the first epoch comes before the tenth step
    model, tokenizer = fresh()
    facts = train(model, tokenizer, config, replace(asked, stopping=lambda: False), what="w")
    assert seen[3] == 7
    assert facts == expected
    assert torch.equal(weights(model), weights(whole))


def write_checkpoint(folder: Path, step: int, best: str | None = None) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(b"weights of step %d" % step)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": best, "global_step": step}))
    mark_whole(checkpoint)
    return checkpoint


def test_a_checkpoint_that_is_not_whole_is_removed(tmp_path: Path) -> None:
    for step in (10, 9, 100):
        (write_checkpoint(tmp_path, step) / WHOLE).unlink()
    assert last_checkpoint(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_newest_whole_checkpoint_is_taken_wherever_it_stands_now(tmp_path: Path) -> None:
    for step in (9, 10):
        write_checkpoint(tmp_path, step, best="/somewhere/else/checkpoint-9")
    for _ in range(2):  # the changed path does not make it a damaged one
        assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
        state = json.loads((tmp_path / "checkpoint-10" / "trainer_state.json").read_text())
        assert state == {"best_model_checkpoint": str(tmp_path / "checkpoint-9"), "global_step": 10}


@pytest.mark.parametrize("name", ["model.safetensors", "trainer_state.json", WHOLE])
@pytest.mark.parametrize("how", ["flipped bit", "cut off", "empty", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, name: str, how: str) -> None:
    before = write_checkpoint(tmp_path, 9)
    file = write_checkpoint(tmp_path, 10) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes({"flipped bit": bytes(content), "cut off": content[:-1]}.get(how, b""))
    if how == "gone":
        file.unlink()
    assert last_checkpoint(tmp_path) == before
    assert list(tmp_path.iterdir()) == [before]


def test_a_checkpoint_whose_best_one_is_damaged_is_none(tmp_path: Path) -> None:
    best = write_checkpoint(tmp_path, 9)
    write_checkpoint(tmp_path, 10, best=str(best))
    (best / "model.safetensors").write_bytes(b"others")
    assert last_checkpoint(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_best_the_newest_and_the_one_before_are_kept_and_all_are_whole(
    context: Context,
    fresh: Fresh,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    kept: list[list[int]] = []

    def remember(newest: Path, best: str | None) -> None:
        remove_old(newest, best)
        assert last_checkpoint(newest.parent) == newest
        kept.append(sorted(int(path.name.rpartition("-")[2]) for path in newest.parent.iterdir()))

    remove_old = checkpoints._remove_old
    monkeypatch.setattr(checkpoints, "_remove_old", remember)
    model, tokenizer = fresh()
    config = TrainingConfig(epochs=4, **FAST)
    train(model, tokenizer, config, replace(context, work=tmp_path), what="w")
    newest = [steps[-1] for steps in kept]
    assert newest == [6, 12, 18, 24]
    assert all(steps[-2:] == newest[max(0, number - 1) : number + 1] for number, steps in enumerate(kept))
    assert all(len(steps) <= 3 for steps in kept)


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
