import math

import pytest
import torch
from torch.nn import functional

from compress.ops.relations import relation_heads, relation_loss


def plain(student: torch.Tensor, teacher: torch.Tensor, lengths: list[int], heads: int) -> float:
    """The loss row by row, head by head and token by token."""
    total, count = 0.0, 0
    for row, length in enumerate(lengths):
        for head in range(heads):
            relations = []
            for vectors in (teacher, student):
                size = vectors.shape[-1] // heads
                part = vectors[row, :length, head * size : (head + 1) * size]
                relations.append(torch.softmax(part @ part.T / math.sqrt(size), dim=-1))
            for token in range(length):
                total += functional.kl_div(relations[1][token].log(), relations[0][token], reduction="sum").item()
                count += 1
    return total / count


@pytest.mark.parametrize("heads", [1, 2, 6])
@pytest.mark.parametrize("lengths", [[7, 7, 7], [7, 3, 1]])
def test_it_is_the_mean_divergence_over_heads_and_tokens_whatever_the_widths(heads: int, lengths: list[int]) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 7, 6), torch.randn(3, 7, 24)
    mask = torch.tensor([[1] * length + [0] * (7 - length) for length in lengths])
    found = relation_loss(student, teacher, mask, heads)
    assert found.item() == pytest.approx(plain(student, teacher, lengths, heads), rel=1e-5)


def test_what_stands_in_the_padding_has_no_effect_and_no_gradient() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    before = relation_loss(student, teacher, mask, 4).item()
    student[0, 3:], teacher[0, 3:] = 50.0, -50.0
    student.requires_grad_()
    after = relation_loss(student, teacher, mask, 4)
    after.backward()
    assert after.item() == pytest.approx(before, rel=1e-6)
    assert student.grad is not None
    assert student.grad[0, 3:].abs().max().item() == 0
    assert torch.isfinite(student.grad).all()


def test_equal_relations_have_no_loss_even_in_another_basis() -> None:
    teacher = torch.randn(2, 5, 8)
    rotation, _ = torch.linalg.qr(torch.randn(8, 8))
    mask = torch.ones(2, 5)
    assert relation_loss(teacher @ rotation, teacher, mask, 1).item() == pytest.approx(0, abs=1e-5)
    assert relation_loss(torch.randn(2, 5, 8), teacher, mask, 1).item() > 0.1


@pytest.mark.parametrize(
    ("student", "teacher", "most", "expected"),
    [(64, 384, 12, 8), (384, 384, 12, 12), (7, 384, 12, 1), (96, 768, 48, 48)],
)
def test_the_relation_heads_divide_both_widths(student: int, teacher: int, most: int, expected: int) -> None:
    assert relation_heads(student, teacher, most) == expected
