"""Facts of this machine that a measurement depends on."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from compress.machine.processor import cores_here, instruction_sets, processor_name

PACKAGES = (
    "torch",
    "transformers",
    "onnx",
    "onnxruntime",
    "torch-pruning",
    "bitsandbytes",
    "peft",
    "tokenizers",
    "numpy",
)


def host_facts() -> dict[str, Any]:
    """Processor, instruction sets, cores, memory, system and package versions."""
    return {
        "cpu": processor_name(),
        "isa": instruction_sets(),
        "cores": cores_here(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def same_machine(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether measurements from two machines may be compared in one table."""
    return all(one.get(key) == other.get(key) for key in ("cpu", "cores", "system", "versions"))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
