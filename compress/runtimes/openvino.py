"""OpenVINO on the CPU, reading the ONNX file itself. The extra `openvino` installs it."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.extras import install_command
from compress.models.files import model_path
from compress.recipe.schema import Target
from compress.runtimes import CannotRunError, Predictor

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("onnx",)
HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


def refuse(target: Target) -> str | None:
    """Why it takes no target of these settings, or None."""
    return "openvino runs on device: cpu alone" if target.device != "cpu" else None


def unavailable(target: Target) -> str | None:
    """Why this target cannot be had here, or None."""
    if find_spec("openvino") is None:
        return f"openvino is not installed ({install_command('openvino')})"
    if target.precision != "fp32":
        import openvino

        capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if target.precision.upper() not in capabilities:
            return f"OpenVINO computes on this processor in {', '.join(capabilities)}, not in {target.precision}"
    return None


def load(folder: Path, target: Target, _hub_task: str, *, trust_remote_code: bool, exclusive: bool) -> Predictor:
    """The folder's ONNX file, compiled for low latency in the target's precision and no lower one.

    Raises:
        CannotRunError: OpenVINO does not know an operator of the graph, or cannot read it.
    """
    del trust_remote_code  # an ONNX file brings no code
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": target.threads,
        "INFERENCE_PRECISION_HINT": HINTS[
            target.precision
        ],  # by default OpenVINO takes bf16 where the processor has it
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": exclusive,
    }
    path = model_path(folder)
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        lines = [line.removeprefix("-- ").strip() for line in str(error).splitlines() if line.strip()]
        message = next((line for line in lines if "conversion rule" in line), lines[-1])
        raise CannotRunError(f"OpenVINO cannot run it: {message[:300]}", where=str(path)) from error
    names = [item.any_name for item in compiled.inputs]
    request = compiled.create_infer_request()

    def predict(batch: "Mapping[str, np.ndarray[Any, Any]]") -> "np.ndarray[Any, Any]":
        outputs = request.infer({name: batch[name] for name in names})
        logits: np.ndarray[Any, Any] = outputs[0].copy()
        return logits

    return predict
