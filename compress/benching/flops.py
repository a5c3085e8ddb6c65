"""The arithmetic of one call: multiplications and additions of matrix products and attention, by number format.

Everything else (norms, activations, softmax) is below a percent in an encoder and is not counted. So the figures are a
lower bound: a speed above the machine's peak shows a mistake in the measurement.
"""

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compress.graphs.calls import call
from compress.graphs.feeds import feeds

INT8_PRODUCTS = {"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm"}
TRANSPOSING = {"FusedMatMul", "Gemm", "FusedGemm", "QGemm"}
PRODUCTS = {"MatMul", "MatMulNBits", *TRANSPOSING, *INT8_PRODUCTS}
BITSANDBYTES = ("int8_mixed_scaled_mm", "int8_scaled_mm", "int8_linear_matmul", "gemm_4bit", "gemv_4bit")

Batch = Mapping[str, np.ndarray[Any, Any]]


def onnx_flops(path: Path, batch: Batch) -> dict[str, float]:
    """The operations of an ONNX graph on one batch, from the shapes that onnxruntime reports after a call.

    Returns:
        Number format (`fp32`, `int8`) -> operations.
    """
    import onnx

    levels = {
        item.i
        for node in onnx.load(str(path), load_external_data=False).graph.node
        if node.op_type == "MatMulNBits"
        for item in node.attribute
        if item.name == "accuracy_level"
    }
    total: dict[str, float] = defaultdict(float)
    for event in profile(path, batch):
        for kind, count in _node_flops(event["args"], int8_blocks=levels == {4}):
            total[kind] += count
    return dict(total)


def profile(path: Path, batch: Batch, threads: int = 1, runs: int = 1) -> list[dict[str, Any]]:
    """The kernel events of the last of `runs` calls on the CPU, as onnxruntime records them: name, dur (us), args."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "profile")
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = feeds(session, str(path))(batch)
        for _ in range(runs):
            call(session, None, inputs, str(path))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    kernels = [item for item in events if item.get("cat") == "Node" and item["name"].endswith("_kernel_time")]
    return kernels[len(kernels) - len(kernels) // runs :]


def _node_flops(node: Mapping[str, Any], *, int8_blocks: bool) -> Sequence[tuple[str, float]]:
    """The operations of one executed node by format, from its shapes; constant weights are not among its inputs."""
    operator = node["op_name"]
    inputs = [shape for item in node["input_type_shape"] for shape in item.values()]
    outputs = [shape for item in node["output_type_shape"] for shape in item.values()]
    if operator in PRODUCTS:
        is_int8 = operator in INT8_PRODUCTS or (operator == "MatMulNBits" and int8_blocks)
        inner = inputs[0][-1]
        if operator in TRANSPOSING:  # the left matrix may be transposed, but the result has its rows
            inner = math.prod(inputs[0][-2:]) // outputs[0][-2]
        return [("int8" if is_int8 else "fp32", 2.0 * math.prod(outputs[0]) * inner)]
    if operator in ("Attention", "QAttention"):
        biases = (shape[0] for shape in inputs[1:] if len(shape) == 1)  # of query + key + value
        projected = next(biases, 3 * outputs[0][-1])
        projection = 2.0 * math.prod(inputs[0]) * projected
        return [("int8" if operator == "QAttention" else "fp32", projection), ("fp32", _attention(outputs[0]))]
    if operator == "MultiHeadAttention":
        return [("fp32", _attention(outputs[0]))]
    return []


def _attention(output: Sequence[int]) -> float:
    """The operations of scores and weighted sums, for an output of (batch, length, heads x head size)."""
    batch, length, hidden = output
    return 4.0 * batch * length * length * hidden


def torch_flops(
    folder: Path, hub_task: str, batch: Batch, precision: str, *, trust_remote_code: bool
) -> dict[str, float]:
    """The operations of a torch model on one batch, counted by torch's own FlopCounterMode on the CPU.

    Args:
        precision: the number format that products count under; bitsandbytes' 8-bit ones count as int8.
    """
    import bitsandbytes  # noqa: F401  registers its operators
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from compress.models.load import load_model

    def product(left: Any, *_: Any, out_shape: Any, **__: Any) -> int:
        result = out_shape if isinstance(out_shape, torch.Size) else out_shape[0]
        return 2 * math.prod(result) * int(left[-1])

    operators = torch.ops.bitsandbytes
    operators_here = [getattr(operators, name) for name in BITSANDBYTES if hasattr(operators, name)]
    mapping: dict[Any, Any] = dict.fromkeys(operators_here, product)
    model = load_model(  # eager: fused attention has no count on the CPU
        folder, hub_task, attention="eager", trust_remote_code=trust_remote_code, device_map="cpu"
    )
    inputs = {name: torch.from_numpy(array) for name, array in batch.items()}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter, torch.inference_mode():
        model(**inputs)
    total: dict[str, float] = defaultdict(float)
    for operator, count in counter.get_flop_counts()["Global"].items():
        total["int8" if "bitsandbytes.int8" in str(operator) else precision] += count
    return dict(total)
