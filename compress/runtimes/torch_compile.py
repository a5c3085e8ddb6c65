"""PyTorch through torch.compile, on CPU and CUDA. The first call compiles, once for all lengths."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from compress.recipe.schema import Target
from compress.runtimes import Predictor
from compress.runtimes import torch as eager

FORMATS = ("torch",)
COMPILES = True


def refuse(target: Target) -> str | None:
    """Why it takes no target of these settings, or None."""
    return eager.refuse(target)


def unavailable(target: Target) -> str | None:
    """Why this target cannot be had here, or None."""
    reason = eager.unavailable(target)
    if reason is not None:
        return reason
    if target.device == "cuda":
        return None if find_spec("triton") else "torch.compile needs triton on CUDA, and it is not installed"
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "torch.compile needs a C++ compiler on the CPU, and none is installed (g++ or clang)"
    return None


def load(folder: Path, target: Target, hub_task: str, *, trust_remote_code: bool, exclusive: bool) -> Predictor:
    """The compiled model, in the target's precision."""

    def compiled(model: Any) -> Any:
        import torch

        return torch.compile(model, dynamic=True)

    return eager.load_through(compiled, folder, target, hub_task, trust_remote_code, exclusive)
