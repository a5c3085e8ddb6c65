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
