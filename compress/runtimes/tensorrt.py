"""TensorRT, through ONNX Runtime's execution provider; nodes that it does not know run on CUDA."""

from pathlib import Path

from compress.recipe.schema import Target
from compress.runtimes import Predictor
from compress.runtimes.onnxruntime import lacks_provider, no_precision, open_session

FORMATS = ("onnx",)
PROVIDER = "TensorrtExecutionProvider"


def refuse(target: Target) -> str | None:
    """Why it takes no target of these settings, or None."""
    return no_precision(target) or ("tensorrt runs on device: cuda alone" if target.device != "cuda" else None)


def unavailable(target: Target) -> str | None:
    """Why this target cannot be had here, or None."""
    del target  # it is on CUDA: `refuse` takes no other
    return lacks_provider(PROVIDER)


def load(folder: Path, target: Target, hub_task: str, *, trust_remote_code: bool, exclusive: bool) -> Predictor:
    """A session whose engine is built at the first call of each shape."""
    del trust_remote_code  # an ONNX file brings no code
    return open_session(folder, target, hub_task, [PROVIDER, "CUDAExecutionProvider"], exclusive=exclusive)
