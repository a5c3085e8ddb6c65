"""What a target can run here, and on which cores."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from compress import runtimes
from compress.errors import CompressError, InputError
from compress.formats import why_not
from compress.graphs.read import read_float_graph
from compress.machine import cuda
from compress.recipe.schema import Target
from compress.runtimes import cores_for, load
from tests.chain import Chain

TASK = "text-classification"
CUDA_MISSING = "this onnxruntime has no CUDAExecutionProvider (install onnxruntime-gpu, and what it needs of CUDA)"
TENSORRT_MISSING = CUDA_MISSING.replace("CUDAE", "TensorrtE")
NO_DEVICE = "this machine has no CUDA device that torch can use"


@pytest.mark.parametrize(
    ("artifact_format", "runtime", "reason"),
    [
        ("onnx", "onnxruntime", None),
        ("torch", "torch", None),
        ("torch_bnb", "torch", None),
        ("torch", "onnxruntime", "the runtime 'onnxruntime' does not run the format 'torch'"),
        ("onnx", "torch", "the runtime 'torch' does not run the format 'onnx'"),
        ("torch", "openvino", "the runtime 'openvino' does not run the format 'torch'"),
        ("torch_bnb", "torch_compile", "the runtime 'torch_compile' does not run the format 'torch_bnb'"),
        ("onnx", "torch_compile", "the runtime 'torch_compile' does not run the format 'onnx'"),
    ],
)
def test_a_format_runs_on_its_runtimes(artifact_format: str, runtime: str, reason: str | None) -> None:
    assert why_not(artifact_format, Target.model_validate({"runtime": runtime})) == reason


@pytest.mark.parametrize(
    ("artifact_format", "target", "reason"),
    [
        ("onnx", {"device": "cuda"}, CUDA_MISSING),
        ("onnx", {"runtime": "tensorrt", "device": "cuda"}, TENSORRT_MISSING),
        ("torch", {"runtime": "torch", "device": "cuda"}, NO_DEVICE),
        ("torch_bnb", {"runtime": "torch", "device": "cuda"}, NO_DEVICE),
        ("torch", {"runtime": "torch_compile", "device": "cuda"}, NO_DEVICE),
        ("onnx", {}, None),
        ("torch", {"runtime": "torch"}, None),
    ],
)
def test_a_device_that_is_not_there_is_a_reason(
    artifact_format: str, target: dict[str, Any], reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert why_not(artifact_format, Target.model_validate(target)) == reason


@pytest.mark.parametrize(
    ("artifact_format", "target"),
    [
        ("onnx", {"device": "cuda"}),
        ("onnx", {"runtime": "tensorrt", "device": "cuda"}),
        ("torch", {"runtime": "torch", "device": "cuda", "precision": "fp16"}),
        ("torch", {"runtime": "torch_compile", "device": "cuda", "precision": "bf16"}),
    ],
)
def test_a_device_that_is_there_is_none(
    artifact_format: str, target: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(runtimes.find("torch_compile"), "find_spec", lambda name: name)
    known = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)
    monkeypatch.setattr(runtimes.find("onnxruntime"), "cuda_devices", lambda: 1)
    assert why_not(artifact_format, Target.model_validate(target)) is None
    monkeypatch.setattr(runtimes.find("onnxruntime"), "cuda_devices", lambda: 0)
    without = why_not(artifact_format, Target.model_validate(target))
    assert without is None if artifact_format == "torch" else "finds no CUDA device" in str(without)


class _Driver:
    """What the CUDA driver answers."""

    def __init__(self, start: int, count: int) -> None:
        self.start, self.count = start, count

    def cuInit(self, _flags: int) -> int:  # noqa: N802  the driver's names
        return self.start

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0


@pytest.mark.parametrize(("driver", "devices"), [(_Driver(0, 2), 2), (_Driver(100, 2), 0), (_Driver(0, 0), 0)])
def test_the_driver_counts_the_devices(driver: _Driver, devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: driver)
    assert cuda.cuda_devices() == devices


def test_without_a_driver_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", missing)
    assert cuda.cuda_devices() == 0


def test_a_device_too_old_for_bf16_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    asked = {precision: Target(runtime="torch", device="cuda", precision=precision) for precision in ("fp16", "bf16")}
    assert why_not("torch", asked["fp16"]) is None
    assert why_not("torch", asked["bf16"]) == "Tesla T4 does not compute in bf16"


def test_compiling_without_triton_or_a_compiler_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(runtimes.find("torch_compile"), "find_spec", lambda name: None)
    on_cuda, on_cpu = (Target(runtime="torch_compile", device=device) for device in ("cuda", "cpu"))
    assert why_not("torch", on_cuda) == "torch.compile needs triton on CUDA, and it is not installed"
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    expected = "torch.compile needs a C++ compiler on the CPU, and none is installed (g++ or clang)"
    assert why_not("torch", on_cpu) == expected
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "g++")
    assert why_not("torch", on_cpu) is None


def test_openvino_that_is_not_installed_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes.find("openvino"), "find_spec", lambda name: None)
    expected = 'openvino is not installed (pip install "compress-models[openvino]")'
    assert why_not("onnx", Target(runtime="openvino")) == expected


@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        ("fp32", None),
        ("bf16", None),
        ("fp16", "OpenVINO computes on this processor in FP32, BF16, INT8, not in fp16"),
    ],
)
def test_a_precision_that_openvino_lacks_here_is_a_reason(
    precision: str, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")

    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
            return ["FP32", "BF16", "INT8"]

    monkeypatch.setattr(openvino, "Core", Core)
    assert why_not("onnx", Target.model_validate({"runtime": "openvino", "precision": precision})) == reason


@pytest.mark.parametrize(
    ("target", "asked", "got"),
    [
        (Target(device="cuda"), "CUDAExecutionProvider", "CPUExecutionProvider"),
        (Target(runtime="tensorrt", device="cuda"), "TensorrtExecutionProvider", "CUDAExecutionProvider"),
    ],
)
def test_a_provider_that_silently_gives_way_is_an_error(
    target: Target, asked: str, got: str, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Session:
        def __init__(self, path: str, options: Any, providers: list[str]) -> None:
            assert providers[0] == asked

        def get_providers(self) -> list[str]:
            return [got]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(CompressError) as caught:
        load(chain.artifacts["onnx"].path, target, TASK)
    assert caught.value.what == f"onnxruntime fell back from {asked} to {got}"


def test_threads_are_pinned_to_cores_of_their_own() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert cores_for(Target(threads=1)) == allowed[:1]
    assert cores_for(Target(threads=len(allowed))) == allowed
    assert cores_for(Target(threads=len(allowed) + 1)) == []
    assert cores_for(Target(threads=1, device="cuda")) == []


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torch"])
def test_loading_for_a_shared_process_changes_nothing_in_it(runtime: str, chain: Chain) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    before = (os.sched_getaffinity(0), torch.get_num_threads())
    artifact = chain.artifacts["pruned" if runtime == "torch" else "onnx"]
    predict = load(artifact.path, Target.model_validate({"runtime": runtime, "threads": 1}), TASK)
    ones = np.ones((1, 4), np.int64)
    predict({"input_ids": ones, "attention_mask": ones, "token_type_ids": ones * 0})
    assert (os.sched_getaffinity(0), torch.get_num_threads()) == before


TASK = "text-classification"


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match="not a readable ONNX file"):
        read_float_graph(tmp_path / "model.onnx")
    with pytest.raises(CompressError, match="onnxruntime cannot load the model"):
        load(tmp_path, Target(), TASK)


def test_the_session_uses_the_threads_of_the_target(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = onnxruntime.InferenceSession

    def watch(path: str, options: onnxruntime.SessionOptions, **rest: Any) -> onnxruntime.InferenceSession:
        seen.append(options.intra_op_num_threads)
        return original(path, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watch)
    load(chain.artifacts["onnx"].path, Target(threads=1), TASK)
    assert seen == [1]
