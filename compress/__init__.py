"""Shrink models by recipe, export them to ONNX, and measure what each step bought."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

# onnxruntime's official builds send events to their maker over HTTPS unless this is set before it is imported;
# nobody who compresses a model asked for that, and the sender's thread disturbs what is measured
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Classifier", "__version__", "load"]

if TYPE_CHECKING:
    from compress.use.classifier import Classifier


def __getattr__(name: str) -> Any:
    """`Classifier`, imported when it is asked for."""
    if name != "Classifier":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from compress.use.classifier import Classifier

    return Classifier


def load(folder: str | Path) -> Any:
    """The torch model in `folder`, pruned shapes included; see `compress.models.load.load`."""
    from compress.models.load import load as load_folder

    return load_folder(folder)
