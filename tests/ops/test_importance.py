import itertools

import pytest
import torch
from torch import nn

from compress.ops.importance import (
    ChannelGate,
    Norms,
    PartScores,
    fisher,
    least_important,
    magnitude,
    rearrange,
    taylor,
)


def _network() -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    return network, torch.randn(5, 4, 8, dtype=torch.float64), torch.randint(0, 3, (5,))


def _losses(network: nn.Sequential, inputs: torch.Tensor, labels: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """One loss a row, with the hidden channels multiplied by `gate`."""
    hidden = network[1](network[0](inputs)) * gate
    return nn.functional.cross_entropy(network[2](hidden).mean(dim=1), labels, reduction="none")


@pytest.mark.parametrize("group", [1, 2, 3])
def test_gate_scores_equal_finite_differences(group: int) -> None:
    network, inputs, labels = _network()
    gate = ChannelGate(network[2], group)  # type: ignore[arg-type]
    loss = nn.functional.cross_entropy(network(inputs).mean(dim=1), labels, reduction="sum")
    loss.backward()
    gate.collect()
    gradients = gate.close()
    scores = taylor(gradients)
    step = 1e-5
    for index in range(6 // group):
        up, down = torch.ones(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
        up[index * group : (index + 1) * group] += step
        down[index * group : (index + 1) * group] -= step
        slope = (_losses(network, inputs, labels, up) - _losses(network, inputs, labels, down)) / (2 * step)
        assert gradients[:, index].tolist() == pytest.approx(slope.tolist(), rel=1e-4, abs=1e-7)
        assert scores[index].item() == pytest.approx(slope.abs().mean().item(), rel=1e-4)


def test_gate_does_not_change_outputs_and_goes_away() -> None:
    network, inputs, _ = _network()
    before = network(inputs)
    gate = ChannelGate(network[2], 1)  # type: ignore[arg-type]
    assert torch.equal(network(inputs), before)
    gate.close()
    assert not network[2]._forward_pre_hooks


def test_scores_do_not_depend_on_the_batch_size() -> None:
    network, inputs, labels = _network()
    scores = []
    for size in (5, 1):
        gate = ChannelGate(network[2], 2)  # type: ignore[arg-type]
        for start in range(0, 5, size):
            part = slice(start, start + size)
            nn.functional.cross_entropy(network(inputs[part]).mean(dim=1), labels[part], reduction="sum").backward()
            gate.collect()
        scores.append(taylor(gate.close()))
    assert torch.allclose(scores[0], scores[1])


def test_an_unused_channel_scores_zero() -> None:
    network, inputs, labels = _network()
    with torch.no_grad():
        network[2].weight[:, 3] = 0  # type: ignore[index, operator]
    gate = ChannelGate(network[2], 1)  # type: ignore[arg-type]
    nn.functional.cross_entropy(network(inputs).mean(dim=1), labels, reduction="sum").backward()
    gate.collect()
    scores = fisher(gate.close())
    assert scores[3].item() == 0
    assert (scores > 0).sum().item() == 5


def test_magnitude_is_the_norm_over_all_matrices() -> None:
    first, second = torch.randn(6, 8), torch.randn(6, 3)
    scores = magnitude([first, second], 2)
    for index in range(3):
        rows = slice(2 * index, 2 * index + 2)
        expected = torch.cat([first[rows].flatten(), second[rows].flatten()]).norm()
        assert scores[index].item() == pytest.approx(expected.item(), rel=1e-6)


def test_least_important_keeps_the_highest_scores() -> None:
    assert least_important(torch.tensor([0.3, 0.9, 0.1, 0.5]), keep=2) == [0, 2]
    assert least_important(torch.tensor([1.0, 1.0, 1.0]), keep=1) == [1, 2]
    assert least_important(torch.tensor([1.0, 2.0]), keep=2) == []


def test_fisher_is_half_the_mean_square_of_each_rows_own_gradient() -> None:
    linear = nn.Linear(8, 6, bias=False).double()
    hidden, weights = torch.randn(5, 3, 8, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    gate = ChannelGate(linear, 2)
    (linear(hidden) @ weights).sum().backward()
    gate.collect()
    scores = fisher(gate.close())
    # the loss of a row is linear in its gates: the slope is what the group adds to the loss
    parts = (hidden * (weights @ linear.weight)).sum(dim=1).reshape(5, 4, 2).sum(dim=2)  # (rows, groups)
    assert scores.tolist() == pytest.approx((parts.square().mean(dim=0) / 2).tolist(), rel=1e-5)


def test_activation_scores_are_norms_over_real_tokens_times_norms_of_outgoing_weights() -> None:
    linear = nn.Linear(8, 6)
    norms = Norms(linear, 4)
    hidden, mask = torch.randn(2, 3, 8), torch.tensor([[1, 1, 0], [1, 0, 0]])
    for row in range(2):  # in two batches
        linear(hidden[row : row + 1])
        norms.collect(mask[row : row + 1])
    scores = norms.close()
    real = torch.stack([hidden[0, 0], hidden[0, 1], hidden[1, 0]])
    wanda = linear.weight.abs() * real.square().mean(dim=0).sqrt()  # (outputs, channels)
    assert scores.tolist() == pytest.approx([wanda[:, :4].norm().item(), wanda[:, 4:].norm().item()], rel=1e-5)
    assert not linear._forward_pre_hooks


def _loss(gradients: torch.Tensor, removed: tuple[int, ...] | list[int]) -> float:
    return gradients[:, list(removed)].sum(dim=1).square().sum().item()


def test_rearranging_finds_groups_that_make_up_for_each_other() -> None:
    torch.manual_seed(0)
    gradients = 2 * torch.randn(20, 6)
    gradients[:, 1] = -gradients[:, 0]  # each alone matters, both together do not
    gradients[:, 4:] = 0.5 * gradients[:, 0:1] + 0.1 * gradients[:, 4:]  # lowest alone, but they add up
    lowest = least_important(fisher(gradients), keep=4)
    best = min(itertools.combinations(range(6), 2), key=lambda pair: _loss(gradients, pair))
    found = rearrange(gradients, lowest)
    assert (lowest, best) == ([4, 5], (0, 1))
    assert found == list(best)
    assert PartScores(fisher(gradients), gradients).removed(4) == found
    assert PartScores(fisher(gradients)).removed(4) == lowest


@pytest.mark.parametrize("seed", range(5))
def test_rearranging_never_makes_it_worse_and_keeps_the_count(seed: int) -> None:
    torch.manual_seed(seed)
    gradients = torch.randn(16, 10) @ torch.randn(10, 10)
    lowest = least_important(fisher(gradients), keep=4)
    found = rearrange(gradients, lowest)
    assert len(set(found)) == 6
    assert found == sorted(found)
    assert _loss(gradients, found) <= _loss(gradients, lowest)
