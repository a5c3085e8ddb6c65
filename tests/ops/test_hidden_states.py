import pytest
import torch
from torch.nn import functional

from compress.ops.hidden_states import fixed_matching_loss, learned_matching_loss, squared_error

WHOLE = torch.ones(2, 5, dtype=torch.long)
PADDED = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])


def states(count: int, width: int = 8, seed: int = 0) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    return [torch.randn(2, 5, width) for _ in range(count)]


def test_without_padding_it_is_the_librarys_error_of_the_projected_states() -> None:
    (student,), (teacher,) = states(1, 6), states(1, seed=1)
    projection = torch.nn.Linear(6, 8)
    found = squared_error(projection(student), teacher, WHOLE)
    assert found.item() == pytest.approx(functional.mse_loss(projection(student), teacher).item(), rel=1e-6)


def test_with_padding_it_is_the_error_of_the_tokens_alone() -> None:
    (student,), (teacher,) = states(1), states(1, seed=1)
    kept = PADDED.bool()
    expected = functional.mse_loss(student[kept], teacher[kept]).item()
    assert squared_error(student, teacher, PADDED).item() == pytest.approx(expected, rel=1e-6)
    student[~kept] = 1e4
    assert squared_error(student, teacher, PADDED).item() == pytest.approx(expected, rel=1e-6)


def test_the_projection_learns_and_the_teacher_does_not() -> None:
    (student,), (teacher,) = states(1, 6), states(1, seed=1)
    teacher.requires_grad_()
    projection = torch.nn.Linear(6, 8)
    squared_error(projection(student), teacher, WHOLE).backward()
    assert teacher.grad is None
    assert projection.weight.grad is not None
    assert projection.weight.grad.abs().max().item() > 0


def test_fixed_matching_pairs_by_place() -> None:
    students, teachers = states(3), states(3, seed=1)
    expected = sum(functional.mse_loss(one, other).item() for one, other in zip(students, teachers, strict=True)) / 3
    assert fixed_matching_loss(students, teachers, WHOLE).item() == pytest.approx(expected, rel=1e-6)


def test_learned_matching_takes_the_nearer_layer_of_the_student() -> None:
    students = [student.requires_grad_() for student in states(3)]
    teachers = [students[2].detach() + 0.1, students[0].detach() - 0.2]
    loss = learned_matching_loss(students, teachers, PADDED)
    assert loss.item() == pytest.approx((0.1**2 + 0.2**2) / 2, rel=1e-4)
    loss.backward()
    moved = [student.grad is not None and student.grad.abs().max().item() > 0 for student in students]
    assert moved == [True, False, True]


def test_learned_matching_is_never_worse_than_fixed() -> None:
    students, teachers = states(3), states(3, seed=1)
    assert learned_matching_loss(students, teachers, PADDED) <= fixed_matching_loss(students, teachers, PADDED)
