import pytest
import torch
from torch import nn

from compress.ops.importance import Gate, least_important, magnitude


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
    gate = Gate(network[2], group)  # type: ignore[arg-type]
    loss = nn.functional.cross_entropy(network(inputs).mean(dim=1), labels, reduction="sum")
    loss.backward()
    gate.collect()
    scores = gate.close()
    step = 1e-5
    for index in range(6 // group):
        up, down = torch.ones(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
        up[index * group : (index + 1) * group] += step
        down[index * group : (index + 1) * group] -= step
        slope = (_losses(network, inputs, labels, up) - _losses(network, inputs, labels, down)) / (2 * step)
        assert scores[index].item() == pytest.approx(slope.abs().mean().item(), rel=1e-4)


def test_gate_does_not_change_outputs_and_goes_away() -> None:
    network, inputs, _ = _network()
    before = network(inputs)
    gate = Gate(network[2], 1)  # type: ignore[arg-type]
    assert torch.equal(network(inputs), before)
    gate.close()
    assert not network[2]._forward_pre_hooks


def test_scores_do_not_depend_on_the_batch_size() -> None:
    network, inputs, labels = _network()
    scores = []
    for size in (5, 1):
        gate = Gate(network[2], 2)  # type: ignore[arg-type]
        for start in range(0, 5, size):
            part = slice(start, start + size)
            nn.functional.cross_entropy(network(inputs[part]).mean(dim=1), labels[part], reduction="sum").backward()
            gate.collect()
        scores.append(gate.close())
    assert torch.allclose(scores[0], scores[1])


def test_an_unused_channel_scores_zero() -> None:
    network, inputs, labels = _network()
    with torch.no_grad():
        network[2].weight[:, 3] = 0  # type: ignore[index, operator]
    gate = Gate(network[2], 1)  # type: ignore[arg-type]
    nn.functional.cross_entropy(network(inputs).mean(dim=1), labels, reduction="sum").backward()
    gate.collect()
    scores = gate.close()
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
