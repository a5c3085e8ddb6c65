import pytest
import torch
from torch.nn import functional

from compress.ops.hard_labels import hard_label_loss


def test_with_all_labels_it_is_the_librarys_cross_entropy() -> None:
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    assert hard_label_loss(logits, labels).item() == pytest.approx(functional.cross_entropy(logits, labels).item())


def test_a_row_without_a_label_has_no_gradient_and_changes_none() -> None:
    # each labelled row weighs 1/batch, as it would among labelled ones alone
    logits = torch.randn(4, 3, requires_grad=True)
    hard_label_loss(logits, torch.tensor([2, -100, 0, -100])).backward()
    assert logits.grad is not None
    assert logits.grad[[1, 3]].abs().max().item() == 0
    expected = (functional.softmax(logits.detach(), -1) - functional.one_hot(torch.tensor([2, 0, 0, 0]), 3)) / 4
    assert torch.allclose(logits.grad[[0, 2]], expected[[0, 2]])


def test_a_batch_without_any_label_has_no_loss() -> None:
    assert hard_label_loss(torch.randn(2, 3).half(), torch.tensor([-100, -100])).item() == 0.0
