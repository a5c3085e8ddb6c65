"""What a target can run here, and on which cores."""

import os

import pytest

from compress.recipe import Target
from compress.runtimes import cores_for, why_not


@pytest.mark.parametrize(
    ("artifact_format", "runtime", "reason"),
    [
        ("onnx", "onnxruntime", None),
        ("torch", "torch", None),
        ("torch_bnb", "torch", None),
        ("torch", "onnxruntime", "the runtime 'onnxruntime' does not run the format 'torch'"),
        ("onnx", "torch", "the runtime 'torch' does not run the format 'onnx'"),
    ],
)
def test_a_format_runs_on_its_runtimes(artifact_format: str, runtime: str, reason: str | None) -> None:
    assert why_not(artifact_format, Target.model_validate({"runtime": runtime})) == reason


def test_cuda_that_is_not_there_is_a_reason() -> None:
    import onnxruntime
    import torch

    if not torch.cuda.is_available():
        said = why_not("torch", Target(runtime="torch", device="cuda"))
        assert said == "this machine has no CUDA device that torch can use"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        said = why_not("onnx", Target(device="cuda"))
        assert said == "this onnxruntime has no CUDAExecutionProvider (install onnxruntime-gpu)"


def test_threads_are_pinned_to_cores_of_their_own() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert cores_for(Target(threads=1)) == allowed[:1]
    assert cores_for(Target(threads=len(allowed))) == allowed
    assert cores_for(Target(threads=len(allowed) + 1)) == []
    assert cores_for(Target(threads=1, device="cuda")) == []
