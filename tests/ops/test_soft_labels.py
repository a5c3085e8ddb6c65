import pytest
import torch
from torch.nn import functional

from compress.errors import CompressError
from compress.ops.soft_labels import soft_label_loss


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_soft_label_loss_equals_the_library_divergence(temperature: float) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 7), torch.randn(5, 7)
    expected = functional.kl_div(
        functional.log_softmax(student / temperature, -1),
        functional.softmax(teacher / temperature, -1),
        reduction="batchmean",
    )
    assert soft_label_loss(student, teacher, temperature).item() == pytest.approx(
        expected.item() * temperature**2, rel=1e-5
    )


def test_equal_outputs_have_no_loss_and_no_gradient() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    loss = soft_label_loss(logits, logits.detach(), 2.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.abs().max().item() < 1e-6


def test_the_teacher_gets_no_gradient() -> None:
    teacher = torch.randn(4, 3, requires_grad=True)
    soft_label_loss(torch.randn(4, 3, requires_grad=True), teacher, 2.0).backward()
    assert teacher.grad is None


def test_half_precision_is_computed_in_float32() -> None:
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    loss = soft_label_loss(student.half(), teacher.half(), 2.0)
    assert loss.dtype == torch.float32


def test_gradient_scale_does_not_depend_on_temperature() -> None:
    # Hinton et al. 2015, section 2.1: in the high-temperature limit the scaled gradient approaches a constant
    student, teacher = torch.randn(8, 5, dtype=torch.float64), torch.randn(8, 5, dtype=torch.float64)
    norms = []
    for temperature in (50.0, 100.0):
        point = student.clone().float().requires_grad_()
        soft_label_loss(point, teacher, temperature).backward()
        assert point.grad is not None
        norms.append(point.grad.norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=0.02)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(CompressError, match=r"\(2, 3\).*\(2, 4\)"):
        soft_label_loss(torch.zeros(2, 3), torch.zeros(2, 4), 1.0)


def test_for_rows_it_is_bit_for_bit_the_librarys_mean_with_a_mask_and_without() -> None:
    # trained weights must not change: this is what was minimised before losses knew of masks
    student, teacher, temperature = torch.randn(7, 4, requires_grad=True), torch.randn(7, 4), 3.0
    own, taught = (functional.log_softmax(logits / temperature, dim=-1) for logits in (student, teacher))
    expected = functional.kl_div(own, taught, reduction="batchmean", log_target=True) * temperature**2
    (gradient,) = torch.autograd.grad(expected, student)
    for mask in (None, torch.ones(7, dtype=torch.long)):
        loss = soft_label_loss(student, teacher, temperature, mask)
        assert torch.equal(loss, expected)
        assert torch.equal(torch.autograd.grad(loss, student)[0], gradient)


def test_tokens_that_do_not_count_are_as_if_they_were_not_there() -> None:
    student, teacher = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    mask = torch.tensor([[1, 0, 1], [0, 0, 1]])
    student[0, 1] = torch.nan
    expected = soft_label_loss(student[mask.bool()], teacher[mask.bool()], 2.0)
    assert soft_label_loss(student, teacher, 2.0, mask).item() == pytest.approx(expected.item())
    assert soft_label_loss(student, teacher, 2.0, torch.zeros(2, 3)).item() == 0.0
