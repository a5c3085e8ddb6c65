"""The speed of this machine's arithmetic: single kernels, timed alone in a fresh process.

The best rate of matrix products is a peak that no model can beat; a model that does was measured wrongly. `compress
doctor` shows the same kernels at the shapes of an encoder.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from compress.errors import CompressError
from compress.processes.child import Child, ChildError, from_parent

Device = Literal["cpu", "cuda"]
PEAK_SHAPES = ((1024, 1024, 1024), (128, 384, 1536), (512, 768, 3072))
"""(rows, inputs, outputs) of the products that are tried for the peak."""
ONNX_KINDS = ("fp32", "int8", "int8_dynamic", "int8_static", "4bit", "4bit_float", "onnx_fp16")
SECONDS = 0.2
TURN_SECONDS = 120.0
"""Most seconds of a turn in addition to its own time: it imports libraries, and may start a GPU."""
PASSES = 2
"""Turns of each kernel. They are apart in time, so that other work on the machine disturbs only one of them."""
BLOCK = 32
CALL_OPERATIONS, CALL_WEIGHTS = 5e7, 1e7
"""Limits of operations and weights up to which one call holds several small products: see `_products_in_call`."""


class Kernel(NamedTuple):
    """A matrix product of (rows, inputs) with constant (inputs, outputs).

    Attributes:
        kind: `fp32`; `int8` (unsigned activations, signed weights); `int8_dynamic` (the same with its activations
            rounded and its results scaled, as dynamic quantization runs it); `int8_static` (the same in a range that
            is known before); `4bit` (MatMulNBits, accuracy_level 4, blocks of 32); `4bit_float` (accuracy_level left
            out); `onnx_fp16`; through torch: `fp16`, `bf16`, and any on CUDA.
        threads: inside the product.
    """

    kind: str
    rows: int
    inputs: int
    outputs: int
    threads: int
    device: Device = "cpu"

    @property
    def operations(self) -> float:
        """Number of multiplications and additions."""
        return 2.0 * self.rows * self.inputs * self.outputs


def time_kernels(
    kernels: Sequence[Kernel], seconds: float = SECONDS, progress: Callable[[int, int], None] = lambda *_: None
) -> list[float]:
    """Best rate of each kernel in 10^9 operations a second, in one fresh process.

    Args:
        seconds: seconds for each kernel.
        progress: called with the number of finished turns, and that of all turns.

    Raises:
        CompressError: the process died.
    """
    best = [0.0] * len(kernels)
    if not kernels:
        return best
    command = [sys.executable, "-P", "-m", "compress.machine.kernels"]
    turns = PASSES * len(kernels)
    with Child(command) as process:
        process.tell({"kernels": kernels, "seconds": seconds})
        try:
            for done in range(turns):
                index, rate = process.answer(TURN_SECONDS + seconds)["rate"]
                best[index] = max(best[index], rate)
                progress(done + 1, turns)
        except ChildError as error:
            raise CompressError(
                f"timing this machine's kernels failed: {error.what}", fix="run it again with --debug"
            ) from error
    return best


def peak_gflops(kinds: Iterable[str], threads: int, device: Device) -> dict[str, float]:
    """The measured arithmetic peak of each number format, in 10^9 operations a second."""
    distinct = sorted(set(kinds))
    shapes = PEAK_SHAPES if device == "cpu" else ((4096, 4096, 4096),)
    kernels = [Kernel(kind, *shape, threads, device) for kind in distinct for shape in shapes]
    rates = time_kernels(kernels)
    return {
        kind: max(rate for kernel, rate in zip(kernels, rates, strict=True) if kernel.kind == kind) for kind in distinct
    }


def main() -> None:
    """Time the kernels listed on standard input, and answer with [index, rate] after each turn."""
    job, answer = from_parent()
    kernels = [Kernel(*item) for item in job["kernels"]]
    for _ in range(PASSES):
        for index, kernel in enumerate(kernels):
            answer({"rate": [index, _rate(kernel, job["seconds"] / PASSES)]})


def best_seconds(call: Callable[[], Any], seconds: float) -> float:
    """Time of the fastest of the calls that fit into `seconds`, at least one, after one that is not timed."""
    best = float("inf")
    call()
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - start)
        if time.perf_counter() >= end:
            return best / 1e9


def _rate(kernel: Kernel, seconds: float) -> float:
    on_onnx = kernel.device == "cpu" and kernel.kind in ONNX_KINDS
    products = _products_in_call(kernel)
    call = (_onnx_call if on_onnx else _torch_call)(kernel, products)
    return products * kernel.operations / best_seconds(call, seconds) / 1e9


def _products_in_call(kernel: Kernel) -> int:
    """Number of products in one call, each with its own weights.

    A call itself takes a few microseconds, which is little for a large product but more than a small one takes. And in
    a model no weight is still in the nearest cache when it is used again.
    """
    return int(max(1, min(CALL_OPERATIONS / kernel.operations, CALL_WEIGHTS / (kernel.inputs * kernel.outputs), 16)))


def onnx_session(graph: Any, threads: int, *, as_written: bool = False) -> Any:
    """A CPU session on a hand-made graph.

    Args:
        as_written: whether onnxruntime leaves the graph as it is, without fusion.
    """
    import onnxruntime
    from onnx import helper

    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class _OnnxProduct(NamedTuple):
    """The form of a kind of product in an ONNX graph: its operator, its types, its constant inputs.

    Attributes:
        range: scale and zero point of uint8 activations. The product reads these through QuantizeLinear and
            DequantizeLinear, and its weights through DequantizeLinear; onnxruntime fuses all to MatMulIntegerToFloat.
    """

    operator: str
    input_type: Any
    output_type: Any
    constants: dict[str, Any]
    attributes: Mapping[str, Any] = MappingProxyType({})
    range: tuple[float, int] | None = None


def _onnx_call(kernel: Kernel, products: int) -> Callable[[], Any]:
    import numpy as np

    session = onnx_session(_graph(kernel, products), kernel.threads)
    rows = np.ones((kernel.rows, kernel.inputs), _onnx_product(kernel).input_type)
    return lambda: session.run(None, {"x": rows})


def _graph(kernel: Kernel, products: int) -> Any:
    import numpy as np
    from onnx import helper, numpy_helper

    operator = _onnx_product(kernel)
    nodes, constants, outputs = [], [], []
    for index in range(products):
        names = [f"{name}{index}" for name in operator.constants]
        outputs.append(f"y{index}")
        constants += [
            numpy_helper.from_array(array, name) for name, array in zip(names, operator.constants.values(), strict=True)
        ]
        inputs = ["x", *names]
        if operator.range is not None:
            inputs = [f"rounded{index}", f"weights{index}"]
            around, tensors = _in_range(operator.range, names, index)
            nodes += around
            constants += tensors
        nodes.append(helper.make_node(operator.operator, inputs, outputs[-1:], **operator.attributes))
    input_type, output_type = (
        helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in (operator.input_type, operator.output_type)
    )
    return helper.make_graph(
        nodes,
        kernel.kind,
        [helper.make_tensor_value_info("x", input_type, ["rows", kernel.inputs])],
        [helper.make_tensor_value_info(name, output_type, ["rows", kernel.outputs]) for name in outputs],
        constants,
    )


def _in_range(span: tuple[float, int], weights: Sequence[str], index: int) -> tuple[list[Any], list[Any]]:
    """Nodes and constants before a product in a known range.

    The scales differ a little, so that each product of a call rounds its own activations, as in a model.

    Args:
        weights: names of the weights' codes, scales and zero points.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    scale, zero = span
    names = [f"x_scale{index}", f"x_zero{index}"]
    values = [np.float32(scale * (1 + index / 1000)), np.uint8(zero)]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *names], [f"codes{index}"]),
        helper.make_node("DequantizeLinear", [f"codes{index}", *names], [f"rounded{index}"]),
        helper.make_node("DequantizeLinear", list(weights), [f"weights{index}"], axis=1),
    ]
    return nodes, [numpy_helper.from_array(np.array(value), name) for name, value in zip(names, values, strict=True)]


def _onnx_product(kernel: Kernel) -> _OnnxProduct:
    import numpy as np

    drawn = np.random.default_rng(0)
    shape = (kernel.inputs, kernel.outputs)
    if kernel.kind in {"fp32", "onnx_fp16"}:
        kind = np.float32 if kernel.kind == "fp32" else np.float16
        return _OnnxProduct("MatMul", kind, kind, {"w": drawn.standard_normal(shape, np.float32).astype(kind)})
    if kernel.kind in {"int8", "int8_dynamic", "int8_static"}:
        weights = drawn.integers(-64, 64, shape, np.int8)
        if kernel.kind == "int8":
            return _OnnxProduct("MatMulInteger", np.uint8, np.int32, {"w": weights})
        scales = np.full(kernel.outputs, 0.01, np.float32)
        constants = {"w": weights, "scales": scales, "zeros": np.zeros(kernel.outputs, np.int8)}
        if kernel.kind == "int8_static":
            return _OnnxProduct("MatMul", np.float32, np.float32, constants, range=(2 / 255, 128))
        return _OnnxProduct("DynamicQuantizeMatMul", np.float32, np.float32, constants, {"domain": "com.microsoft"})
    blocks = -(-kernel.inputs // BLOCK)
    return _OnnxProduct(
        "MatMulNBits",
        np.float32,
        np.float32,
        {
            "w": drawn.integers(0, 255, (kernel.outputs, blocks, BLOCK // 2), np.uint8),
            "scales": np.full((kernel.outputs, blocks), 0.01, np.float32),
        },
        {
            "domain": "com.microsoft",
            "K": kernel.inputs,
            "N": kernel.outputs,
            "bits": 4,
            "block_size": BLOCK,
            **({"accuracy_level": 4} if kernel.kind == "4bit" else {}),
        },
    )


def _torch_call(kernel: Kernel, products: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(kernel.threads)
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8}[kernel.kind]
    rows = torch.ones((kernel.rows, kernel.inputs), dtype=kind, device=kernel.device)
    weights = [torch.ones((kernel.outputs, kernel.inputs), dtype=kind, device=kernel.device) for _ in range(products)]
    linear = torch.nn.functional.linear  # what models call; plain matmul can be slower by far

    def int8(one: Any, right: Any) -> Any:
        return torch._int_mm(one, right.t())

    multiply = int8 if kind == torch.int8 else linear

    def call() -> None:
        for each in weights:
            multiply(rows, each)
        if kernel.device == "cuda":
            torch.cuda.synchronize()

    return call


if __name__ == "__main__":
    main()
