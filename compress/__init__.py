"""Shrink models by recipe, export them to ONNX, and measure what each step bought."""

from pathlib import Path
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(folder: str | Path) -> Any:
    """The torch model in `folder`, pruned shapes included; see `compress.models.load.load`."""
    from compress.models.load import load as load_folder

    return load_folder(folder)
