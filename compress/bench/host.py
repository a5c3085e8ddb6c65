"""Facts of this machine that a measurement depends on."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

ISA_FLAGS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
)
PACKAGES = (
    "torch",
    "transformers",
    "onnx",
    "onnxruntime",
    "torch-pruning",
    "bitsandbytes",
    "tokenizers",
    "numpy",
)


def host_facts() -> dict[str, Any]:
    """Processor, instruction sets, cores, memory, system and package versions."""
    model, flags = _processor()
    return {
        "cpu": model,
        "isa": [flag for flag in ISA_FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def same_machine(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if measurements from both may stand in one table."""
    return all(one.get(key) == other.get(key) for key in ("cpu", "cores", "system", "versions"))


def _processor() -> tuple[str, set[str]]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor() or platform.machine(), set()
    fields: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    model = fields.get("model name") or platform.machine()
    return model, set((fields.get("flags") or fields.get("Features") or "").split())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
