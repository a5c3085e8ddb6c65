"""What the processor means for int8: by its instruction sets, and by what ONNX Runtime computes on it."""

import platform
from pathlib import Path

import pytest

from avx2_only import CUT, DEPTH, sums
from compress.machine import processor
from compress.ops.int8 import LARGEST, LARGEST_REDUCED
from tests.processors import SATURATES, sums_in_16_bits, sums_in_32_bits


@pytest.mark.parametrize(
    ("isa", "cuts_off"),
    [
        ([], True),  # nothing is known
        (["avx2"], True),
        (["avx2", "avx512f"], True),
        (["avx2", "avx512f", "avx512_bf16", "amx_bf16"], True),
        (["avx2", "avx_vnni"], False),
        (["avx2", "avx512f", "avx512_vnni"], False),
        (["avx2", "avx512f", "amx_int8"], False),
        (["asimd"], False),
        (["asimd", "asimddp"], False),
        (["asimd", "asimddp", "i8mm"], False),
    ],
)
def test_sums_are_cut_off_on_x86_without_an_instruction_for_them_alone(isa: list[str], cuts_off: bool) -> None:
    assert processor.saturates(isa) is cuts_off


INTEL = "processor : 0\nmodel name : Some CPU\nflags : fpu avx2 avx512f avx512_vnni\n\nprocessor : 1\nflags : none\n"
ARM = "processor : 0\nBogoMIPS : 50.00\nFeatures : fp asimd evtstrm aes\nCPU implementer : 0x41\n"


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "isa", "cuts_off"),
    [
        (INTEL, "x86_64", ["avx2", "avx512f", "avx512_vnni"], False),
        (INTEL.replace(" avx512_vnni", ""), "x86_64", ["avx2", "avx512f"], True),
        (ARM, "aarch64", ["asimd"], False),
        (ARM.replace("aes", "asimddp i8mm"), "aarch64", ["asimd", "asimddp", "i8mm"], False),
        ("processor : 0\n", "x86_64", [], True),
        (None, "arm64", ["asimd"], False),  # macOS
        (None, "ARM64", ["asimd"], False),  # Windows
        (None, "AMD64", [], True),
        (None, "x86_64", [], True),
    ],
)
def test_instruction_sets_are_read_where_the_system_tells_them(
    cpuinfo: str | None,
    machine: str,
    isa: list[str],
    cuts_off: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    monkeypatch.setattr(processor, "CPUINFO", path)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert processor.instruction_sets() == isa
    assert processor.saturates(isa) is cuts_off
    assert processor.processor_name()


@pytest.mark.int8
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize(
    ("code", "unsigned"),
    [
        (LARGEST_REDUCED, False),
        (-LARGEST_REDUCED, False),
        (255, True),
        pytest.param(LARGEST, False, marks=sums_in_32_bits),
        pytest.param(-LARGEST, False, marks=sums_in_32_bits),
    ],
)
def test_sums_of_products_are_exact(code: int, unsigned: bool, rows: int) -> None:
    assert set(sums(code, rows, unsigned=unsigned).flatten()) == {DEPTH * 255 * code}


@pytest.mark.int8
@sums_in_16_bits
@pytest.mark.parametrize("rows", [1, 5])
def test_sums_of_8_bits_are_cut_off(rows: int) -> None:
    assert set(sums(LARGEST, rows).flatten()) == {CUT}
    assert set(sums(-LARGEST, rows).flatten()) == {-DEPTH // 2 * 2**15}
    assert CUT < DEPTH * 255 * LARGEST


@pytest.mark.int8
def test_the_flags_say_what_onnxruntime_does() -> None:
    assert (int(sums(LARGEST)[0, 0]) != DEPTH * 255 * LARGEST) is SATURATES
