"""What tests need of the processor, and which of them touch quantized graphs.

Sums of two products of 8 bits may be cut off at 16 bits on x86 without VNNI and AMX. So a numeric claim about int8 is
tested with weights of 7 bits on any processor, and with 8 bits where the processor allows. Tests that compute in
quantized graphs are marked `int8`: `python -m avx2_only -m pytest -m int8` runs them as on a processor with AVX2 alone.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compress.machine.processor import instruction_sets, saturates

SATURATES = saturates(instruction_sets())
sums_in_32_bits = pytest.mark.skipif(SATURATES, reason="sums of 8-bit products are cut off on this processor")
sums_in_16_bits = pytest.mark.skipif(not SATURATES, reason="sums of 8-bit products are exact on this processor")
reduced_or_not = pytest.mark.parametrize(
    "reduce_range", [pytest.param(True, id="7 bits"), pytest.param(False, id="8 bits", marks=sums_in_32_bits)]
)
reduced_or_slowly_not = pytest.mark.parametrize(
    "reduce_range",
    [pytest.param(True, id="7 bits"), pytest.param(False, id="8 bits", marks=[sums_in_32_bits, pytest.mark.slow])],
)
"""For what is right in both if it is in one, where 8 bits are tried by default beside it."""

QUANTIZED = (b"QuantizeLinear", b"DynamicQuantize", b"MatMulInteger", b"QAttention", b"MatMulNBits", b"BlockQuantized")
"""Bytes of a model in which something computes with codes. DequantizeLinear alone only widens them."""


def is_quantized(model: Any) -> bool:
    """Whether what a session is made of, a path or a model's bytes, computes with codes."""
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        model = path.read_bytes() if path.is_file() else b""
    return any(kind in model for kind in QUANTIZED)


_opened: list[bool] = []
"""Of each session that a test has opened in this process: whether its graph is quantized."""


def pytest_sessionstart() -> None:
    """Sessions are noted, and their threads do not spin while they wait, which is a quarter of the tests' time."""
    from onnxruntime import InferenceSession, SessionOptions

    real = InferenceSession.__init__

    def init(self: Any, path_or_bytes: Any, sess_options: Any = None, *rest: Any, **named: Any) -> None:
        _opened.append(is_quantized(path_or_bytes))
        options = SessionOptions() if sess_options is None else sess_options
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        real(self, path_or_bytes, options, *rest, **named)

    InferenceSession.__init__ = init


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[Any]:
    """A test that opens a quantized graph in this process, and is not marked for it, fails."""
    _opened.clear()
    outcome = yield
    if any(_opened) and item.get_closest_marker("int8") is None:
        pytest.fail("it computes in a quantized graph: mark it int8, so that it is run on both kinds of processor")
    return outcome
