"""What this machine's processor is, and what its instruction sets mean for int8."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
ISA_FLAGS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
)
INT8_SETS = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
"""With one of these a processor multiplies 8-bit numbers and sums them in 32 bits, in one instruction."""
ARM64 = ("aarch64", "arm64")
"""What Python calls 64-bit Arm on Linux, and on macOS and (in capitals) Windows."""


def processor_name() -> str:
    """As the system calls it."""
    return _processor()[0]


def cores_here() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def instruction_sets() -> list[str]:
    """Of `ISA_FLAGS` those that this processor is known to have.

    They are read from /proc/cpuinfo. Where there is none (macOS, Windows) nothing is known of an x86, and of a 64-bit
    Arm that it has `asimd`, as each of them has.
    """
    flags = _processor()[1]
    return [flag for flag in ISA_FLAGS if flag in flags]


def saturates(isa: Sequence[str]) -> bool:
    """Whether sums of two products of 8 bits may be cut off at 16 bits, as AVX2's VPMADDUBSW does.

    Weights of 7 bits cannot reach that (ONNX Runtime's quantization guide, "reduce_range"), so an unknown processor is
    said to saturate. A 64-bit Arm never does: without dot products, ONNX Runtime makes activations signed and adds two
    products in 16 bits before it widens them (its QgemmS8S8KernelNeon.S), which are at most 2 * 128 * 127 < 2**15.

    Args:
        isa: instruction sets, as /proc/cpuinfo writes them.
    """
    return not {*INT8_SETS, "asimd"} & set(isa)


def _processor() -> tuple[str, set[str]]:
    if not CPUINFO.is_file():
        known = {"asimd"} if platform.machine().lower() in ARM64 else set()
        return platform.processor() or platform.machine(), known
    fields: dict[str, str] = {}
    for line in CPUINFO.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    model = fields.get("model name") or platform.machine()
    return model, set((fields.get("flags") or fields.get("Features") or "").split())
