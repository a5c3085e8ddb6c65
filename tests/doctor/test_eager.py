"""Findings on torch folders."""

import pytest

from compress.doctor import eager
from compress.doctor.executed import Product
from tests.doctor.subjects import rates_of


def test_torch_is_held_against_onnxruntime_at_its_own_widths():
    linear = [Product("fp32", 128, 64, 128, 40.0), Product("fp32", 128, 128, 64, 40.0)]
    operations = 2 * 2 * 128 * 64 * 128
    found = eager.eager(linear, 300, 1.0, 2, 100.0, lambda kernels: [20.0] * len(kernels), is_packed=False)
    onnx_ms = operations / 20.0 / 1e6
    assert found.cost == pytest.approx(0.8 - onnx_ms)
    assert f"its matrix products take 0.80 ms, onnxruntime needs {onnx_ms:.2f} ms" in found.evidence
    packed = eager.eager(linear, 300, 1.0, 2, 100.0, lambda kernels: [20.0] * len(kernels), is_packed=True)
    assert packed.what.startswith("bitsandbytes' weights save memory, not time")


def test_weights_saved_in_half_precision_are_told():
    rates = rates_of(fp32=100.0, fp16=1.0, bf16=180.0)
    slow = eager.number_format({"F16": 10, "F32": 1}, 2, rates)
    assert slow is not None
    assert "fp16 products run at 0.01x fp32's speed here" in slow.evidence
    assert "dtype=torch.float32" in slow.fix
    fast = eager.number_format({"BF16": 10}, 2, rates)
    assert fast is not None
    assert "dtype=torch.bfloat16" in fast.fix
    assert eager.number_format({"F32": 10, "F16": 1}, 2, rates) is None
    assert eager.number_format({}, 2, rates) is None
