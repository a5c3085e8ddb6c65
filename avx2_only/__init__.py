"""Starts processes that have ONNX Runtime's AVX2 kernels, as on a processor without AVX-512, VNNI and AMX.

For tests and benchmarks; not part of what is installed. `python -m avx2_only -m pytest` runs the tests so.

Hidden is what ONNX Runtime and `compress.machine.processor` see. torch, oneDNN, bitsandbytes and OpenVINO ask the
processor by themselves, and see all of it.
"""

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import CompressError
from compress.machine.processor import instruction_sets

SOURCE = Path(__file__).with_name("preload.c")
ROOT = Path(__file__).parents[1]
BEYOND = {"avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"}
"""Instruction sets with which ONNX Runtime leaves its AVX2 kernels."""
CPUID, LOCK_NOP = bytes([0x0F, 0xA2]), bytes([0xF0, 0x90])
DEPTH = 64
"""Products in a sum; an even number, since VPMADDUBSW adds two."""
LARGEST = 127
EXACT = DEPTH * 255 * LARGEST
CUT = DEPTH // 2 * 32767
"""What the sum is where each pair of products is cut off at 16 bits."""


class NotHereError(CompressError):
    """This machine cannot show AVX2 alone: another kind of processor or system, or no C compiler."""


@dataclass(frozen=True)
class Processes:
    """How processes are started.

    Attributes:
        environment: variables that they need beside the usual ones; none where nothing is hidden.
        how: in words, what was done to have AVX2 kernels.
        proof: what a process that is started so sees and computes.
    """

    environment: Mapping[str, str]
    how: str
    proof: Mapping[str, Any]

    def command(self, command: Sequence[str]) -> list[str]:
        """A command that starts another one so."""
        said = [f"{name}={value}" for name, value in self.environment.items()]
        return ["/usr/bin/env", *said, *command] if said else list(command)


@contextmanager
def avx2_only() -> Iterator[Processes]:
    """Processes that see AVX2 and nothing beyond; where the processor has no more than that, ordinary ones.

    Raises:
        NotHereError: this machine has no AVX2, is no Linux, or lacks a C compiler's tools.
        CompressError: the processes do not see, or do not compute, what they should.
    """
    found = set(instruction_sets())
    if sys.platform != "linux" or "avx2" not in found:
        raise NotHereError(
            f"this machine ({sys.platform}, {platform.machine()}) is no Linux with AVX2",
            fix="take an x86-64 Linux",
        )
    if not found & BEYOND:
        yield Processes({}, "the processor itself has AVX2 and neither AVX-512, VNNI nor AMX", proof({}))
        return
    hidden = ", ".join(sorted(found & BEYOND))
    with tempfile.TemporaryDirectory(prefix="compress-avx2-") as scratch:
        _plant(Path(scratch))
        environment = {
            "LD_PRELOAD": str(_compiled(Path(scratch))),
            "PYTHONPATH": os.pathsep.join([scratch, *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        yield Processes(
            environment,
            f"the processor has {hidden}; the processes did not see them: "
            "avx2_only/preload.c answers without those where onnxruntime asks CPUID",
            proof(environment),
        )


def _compiled(folder: Path) -> Path:
    """The library, made by the system's own compiler."""
    library = folder / "avx2_only.so"
    _run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"])
    return library


def _plant(folder: Path) -> None:
    """Put a copy of onnxruntime there that executes LOCK NOP wherever the installed one executes CPUID."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise CompressError("onnxruntime is not installed", fix="pip install onnxruntime")
    copy = folder / "onnxruntime"
    shutil.copytree(Path(spec.origin).parent, copy)
    for library in (copy / "capi").glob("*.so*"):
        code = bytearray(library.read_bytes())
        for place in _asks(library):
            if code[place : place + 2] != CPUID:
                raise CompressError(
                    f"objdump sees CPUID at byte {place} of {library.name}, where it is not",
                    fix="take a processor without VNNI",
                )
            code[place : place + 2] = LOCK_NOP
        library.write_bytes(code)


def _asks(library: Path) -> Iterator[int]:
    """Where in the file its code executes CPUID, as objdump reads it."""
    sections = _run(["objdump", "--section-headers", "--section=.text", str(library)])
    address, offset = (int(field, 16) for field in re.findall(r"\.text +\w+ +(\w+) +\w+ +(\w+)", sections)[0])
    program = _run(["objdump", "--disassemble", "--section=.text", "--no-show-raw-insn", str(library)])
    for found in re.findall(r"^ *(\w+):\tcpuid", program, re.MULTILINE):
        yield int(found, 16) - address + offset


def _run(command: Sequence[str]) -> str:
    """What a tool of the compiler's prints."""
    if shutil.which(command[0]) is None:
        raise NotHereError(f"there is no {command[0]}", fix="apt-get install gcc libc6-dev")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompressError(f"{command[0]} fails: {done.stderr.strip()[:300]}", fix="apt-get install gcc libc6-dev")
    return done.stdout


def proof(environment: Mapping[str, str]) -> dict[str, Any]:
    """What a process sees and computes that is started with these variables.

    Raises:
        CompressError: it does not start, sees more than AVX2, or its int8 products are not AVX2's.
    """
    command = [sys.executable, "-m", "avx2_only", "--seen"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CompressError(
            f"a process that should see AVX2 alone does not start: {done.stderr.strip()[-300:]}",
            fix="take a processor without VNNI",
        )
    found: dict[str, Any] = json.loads(done.stdout)
    if found != {"flags": ["avx2"], "product": CUT, "exact": EXACT}:
        raise CompressError(
            f"a process that should see AVX2 alone sees {found}; a product cut off as AVX2 does it would be {CUT}",
            fix="take a processor without VNNI",
        )
    return found


def seen() -> dict[str, Any]:
    """What this process sees of its processor, and how ONNX Runtime multiplies 8-bit numbers in it.

    AVX2 has no instruction that sums products of 8 bits in 32: its VPMADDUBSW cuts off at 16, which VNNI does not. So
    a sum of large products tells which kernel ran.

    Returns:
        `flags` out of /proc/cpuinfo; `product`: the sum of 64 products of 255 and 127, `exact` as it should be.
    """
    (product,) = set(sums(LARGEST).flatten().tolist())
    return {"flags": instruction_sets(), "product": product, "exact": EXACT}


def sums(code: int, rows: int = 1, *, unsigned: bool = False) -> Any:
    """Sums of 64 products of 255 and a weight's code, as ONNX Runtime computes them here: (rows, 16).

    Args:
        unsigned: write the code as uint8, not as int8.
    """
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "matrix"], ["sums"])],
        "product",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, [rows, DEPTH])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [rows, 16])],
        [numpy_helper.from_array(np.full((DEPTH, 16), code, dtype=np.uint8 if unsigned else np.int8), "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"rows": np.full((rows, DEPTH), 255, dtype=np.uint8)})
    return found
