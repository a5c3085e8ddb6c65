"""What this machine's processor is, and what its instruction sets mean for int8."""

import platform
from collections.abc import Sequence
from pathlib import Path

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
INT8_SETS = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
"""With one of these a processor multiplies 8-bit numbers and sums them in 32 bits."""


def processor_name() -> str:
    """As the system calls it."""
    return _processor()[0]


def instruction_sets() -> list[str]:
    """Of `ISA_FLAGS` those that this processor has."""
    flags = _processor()[1]
    return [flag for flag in ISA_FLAGS if flag in flags]


def saturates(isa: Sequence[str]) -> bool:
    """Whether sums of two products of 8 bits may be cut off at 16 bits, as AVX2's VPMADDUBSW does.

    Weights of 7 bits cannot reach that (ONNX Runtime's quantization guide, "reduce_range").
    """
    return not set(INT8_SETS) & set(isa)


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
