"""Fake quantization in a network: what it rounds, what it learns, and that it leaves no trace."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from compress.models.tokenizer import Tokenizer
from compress.training.config import RecoverRounded, TrainingConfig
from compress.training.fake_quantization import NAME, ActivationRange, FakeQuantization, WeightGrid
from compress.training.optimizer import make_optimizer

Fresh = Callable[[], tuple[Any, Tokenizer]]
QUERY, WORDS = "bert.encoder.layer.0.attention.self.query", "bert.embeddings.word_embeddings"


def fake_of(network: Any, *, learning_rate: float = 0.5) -> FakeQuantization:
    table, matrix = (network.get_submodule(name).weight.detach().numpy() for name in (WORDS, QUERY))
    weights = {
        WORDS: WeightGrid.of_blocks(table, 4, 16, symmetric=True),
        QUERY: WeightGrid.of_columns(matrix, 127),
    }
    inputs = {QUERY: ActivationRange(-3.0, 5.0)}
    return FakeQuantization(weights, inputs, blocks=False, dynamic=False, learning_rate=learning_rate)


def batch() -> dict[str, torch.Tensor]:
    ids = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}


def test_a_network_is_left_as_it_was(fresh: Fresh) -> None:
    network, _ = fresh()
    network.eval()
    names = list(network.state_dict())
    with torch.no_grad():
        before = network(**batch()).logits
        fake = fake_of(network)
        fake.attach(network)
        rounded = network(**batch()).logits
        added = set(network.state_dict()) - set(names)
        fake.detach(network)
        assert torch.equal(network(**batch()).logits, before)
    assert (rounded - before).abs().max() > 1e-5
    assert added
    assert all(name.startswith(NAME) for name in added)
    assert list(network.state_dict()) == names


def test_only_rows_that_are_read_learn_their_scales(fresh: Fresh) -> None:
    network, _ = fresh()
    fake = fake_of(network)
    fake.attach(network)
    network(**batch(), labels=torch.tensor([0, 1])).loss.backward()
    words = fake.weights()[WORDS].growth.grad
    assert words is not None
    read = {int(row) for row in batch()["input_ids"].flatten()}
    assert {int(row) for row in words.abs().sum(1).nonzero()} <= read
    assert words.abs().sum() > 0
    for learned in (fake.weights()[QUERY].growth, fake.input_range(QUERY).growth, network.get_submodule(QUERY).weight):
        assert learned.grad is not None
        assert learned.grad.abs().sum() > 0


def test_scales_have_a_rate_of_their_own_and_do_not_decay(fresh: Fresh) -> None:
    network, _ = fresh()
    fake = fake_of(network)
    fake.attach(network)
    settings = TrainingConfig(learning_rate=1e-3, weight_decay=0.1)
    decayed = [name for name, _ in network.named_parameters()]
    optimizer = make_optimizer(network, settings, decayed)
    found = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    assert len(found) == len(decayed)
    for parameter in fake.parameters():
        assert (found[id(parameter)]["lr"], found[id(parameter)]["weight_decay"]) == (0.5, 0.0)
    query, head = network.get_submodule(QUERY).weight, network.classifier.weight
    assert (found[id(query)]["lr"], found[id(query)]["weight_decay"]) == (1e-3, 0.1)
    assert found[id(head)]["lr"] == pytest.approx(1e-2)


def test_a_step_changes_large_and_small_scales_by_the_same_share(fresh: Fresh) -> None:
    weights = np.random.default_rng(0).normal(0, 1, (2, 64)).astype(np.float32) * np.array([[0.001], [10]], np.float32)
    grid = WeightGrid.of_columns(weights, 7)
    before = grid.scales.detach().clone()
    optimizer = torch.optim.AdamW(grid.parameters(), lr=0.01, weight_decay=0)
    values = torch.from_numpy(weights)
    ((grid(values) - values) / before).square().mean().backward()
    optimizer.step()
    change = (grid.scales.detach() / before).flatten()
    assert change.tolist() == pytest.approx([np.exp(-0.01)] * 2, rel=1e-3), "both were too wide"


def test_an_activation_range_gives_back_its_ends_and_holds_zero() -> None:
    for low, high in ((-3.0, 5.0), (0.5, 2.0), (-2.0, -1.0)):
        one = ActivationRange(low, high)
        start, end = one.ends()
        step = float(one.scale.detach())
        assert start == pytest.approx(min(low, 0), abs=0.5001 * step)
        assert end == pytest.approx(max(high, 0), abs=0.5001 * step)
        assert float(one(torch.zeros(1, 1))) == 0
    with torch.no_grad():
        one.shift.fill_(10)
    assert float(one.zero) == 255, "it stays a code"


def test_settings_of_the_training_begin_gently() -> None:
    assert RecoverRounded().learning_rate < TrainingConfig().learning_rate
    assert RecoverRounded().precision == "fp32"
