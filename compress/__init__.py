"""Shrink models by recipe, export them to ONNX, and measure what each step bought."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# onnxruntime's official builds send events to their maker over HTTPS unless this is set before it is imported;
# nobody who compresses a model asked for that, and the sender's thread disturbs what is measured
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

if TYPE_CHECKING:
    from compress.api import Event, bench, compare, load, plan, run
    from compress.errors import CompressError, InputError, Stopped
    from compress.use.classifier import Classifier

__all__ = [
    "Classifier",
    "CompressError",
    "Event",
    "InputError",
    "Stopped",
    "__version__",
    "bench",
    "compare",
    "load",
    "plan",
    "run",
]

_HOMES = {
    "compress.api": ("Event", "bench", "compare", "load", "plan", "run"),
    "compress.errors": ("CompressError", "InputError", "Stopped"),
    "compress.use.classifier": ("Classifier",),
}
"""The module of each public name; it is imported on first use, so that `import compress` takes no time."""


def __getattr__(name: str) -> Any:
    """A public name, imported from its module."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
