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


def test_for_rows_it_is_bit_for_bit_the_sum_by_the_rows_with_a_mask_and_without() -> None:
    # trained weights must not change: this is what was minimised before losses knew of masks
    logits, labels = torch.randn(7, 4, requires_grad=True), torch.tensor([0, 1, -100, 3, 0, -100, 2])
    expected = functional.cross_entropy(logits.float(), labels, reduction="sum") / len(labels)
    (gradient,) = torch.autograd.grad(expected, logits)
    for mask in (None, torch.ones(7, dtype=torch.long)):
        loss = hard_label_loss(logits, labels, mask)
        assert torch.equal(loss, expected)
        assert torch.equal(torch.autograd.grad(loss, logits)[0], gradient)


def test_what_does_not_count_is_as_if_it_were_not_there() -> None:
    logits, labels = torch.randn(2, 3, 5), torch.tensor([[4, -100, 1], [0, 2, 3]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 0]])
    logits[0, 2], labels[1, 0] = torch.inf, 99
    expected = functional.cross_entropy(logits[[0, 1], [0, 1]], torch.tensor([4, 2]), reduction="sum") / 3
    assert hard_label_loss(logits, labels, mask).item() == pytest.approx(expected.item())
    assert hard_label_loss(logits, labels, torch.zeros(2, 3)).item() == 0.0
