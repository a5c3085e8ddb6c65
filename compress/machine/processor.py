"""This machine's processor, and the effect of its instruction sets on int8."""

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
"""Instruction sets that multiply 8-bit numbers and sum them in 32 bits in one instruction."""
ARM64 = ("aarch64", "arm64")
"""Python's names of 64-bit Arm on Linux, and on macOS and (in capitals) Windows."""


def processor_name() -> str:
    """The processor's name in the system's words."""
    return _processor()[0]


def cores_here() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def instruction_sets() -> list[str]:
    """The instruction sets of `ISA_FLAGS` that this processor is known to have.

    They are read from /proc/cpuinfo. Without it (macOS, Windows) nothing is known of an x86 processor; a 64-bit Arm
    always has `asimd`.
    """
    flags = _processor()[1]
    return [flag for flag in ISA_FLAGS if flag in flags]


def saturates(isa: Sequence[str]) -> bool:
    """Whether sums of two 8-bit products may saturate at 16 bits, as with AVX2's VPMADDUBSW.

    With weights of 7 bits they cannot (ONNX Runtime's quantization guide, "reduce_range"), so an unknown processor
    counts as saturating. A 64-bit Arm never saturates: without dot products, ONNX Runtime makes activations signed and
    adds two products in 16 bits before it widens them (its QgemmS8S8KernelNeon.S): at most 2 * 128 * 127 < 2**15.

    Args:
        isa: instruction sets by their names in /proc/cpuinfo.
    """
    return not {*INT8_SETS, "asimd"} & set(isa)


def _processor() -> tuple[str, set[str]]:
    if not CPUINFO.is_file():
        certain = {"asimd"} if platform.machine().lower() in ARM64 else set()
        return platform.processor() or platform.machine(), certain
    fields: dict[str, str] = {}
    for line in CPUINFO.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    model = fields.get("model name") or platform.machine()
    return model, set((fields.get("flags") or fields.get("Features") or "").split())
