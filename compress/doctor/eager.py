"""The diagnosis of a torch folder: eager execution, number format, widths."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from compress.context import Progress
from compress.doctor.advice import Finding, times
from compress.doctor.calling import padding_waste, slow_threads
from compress.doctor.diagnosis import by_cost
from compress.doctor.examined import (
    STEPS,
    WHAT,
    Examination,
    Examined,
    facts_of,
    interleaved,
    length_of,
    median_ms,
    shares,
)
from compress.doctor.executed import Product, Rates
from compress.doctor.products import COMPARE, slow_widths, with_even_head, with_even_widths
from compress.doctor.surroundings import watched
from compress.errors import InputError
from compress.machine.kernels import Kernel, peak_gflops, time_kernels

LINEAR = ("aten::addmm", "aten::mm", "aten::linear", "aten::mkldnn_linear", "mkldnn::_linear_pointwise")
PROFILED_CALLS = 3
HALVES = {"F16": ("fp16", "float16"), "BF16": ("bf16", "bfloat16")}
TYPICAL = (128, 384, 384)
"""(rows, inputs, outputs) of a typical product."""


def examine_torch(job: Examination, progress: Progress) -> Examined:
    """The examination of a torch model: it is loaded, called in eager mode, profiled and diagnosed.

    Raises:
        InputError: the model cannot be loaded, or takes no token ids.
    """
    import torch

    from compress.models.load import load

    folder = Path(job.folder)
    model = load(folder)
    length = length_of(job, None)
    batch = _made_inputs(model, folder, length)
    progress(WHAT, 1, STEPS)
    rates = partial(time_kernels, seconds=job.kernel_seconds)
    with torch.inference_mode():
        latency_ms, typical, busy_cores = _timed(job, model, batch, length)
        torch.set_num_threads(job.threads)
        progress(WHAT, 2, STEPS)
        spent, calls = _profiled(model, batch)
        operations = _operations(model, batch)
    progress(WHAT, 3, STEPS)
    peaks = peak_gflops(operations, job.threads, "cpu")
    progress(WHAT, 4, STEPS)
    total = sum(spent.values()) or 1.0
    linear = _linear(model, length, sum(spent.get(name, 0.0) for name in LINEAR))
    is_packed = any(name.startswith("bitsandbytes") for name in spent)
    findings = [
        eager(linear, calls, latency_ms[job.threads], job.threads, total, rates, is_packed=is_packed),
        number_format(_saved_formats(folder), job.threads, rates),
        _widths(linear, folder, length, job.threads, total, rates),
        slow_threads(latency_ms, job.threads, busy_cores),
        padding_waste(job.row_tokens, length, None, typical, latency_ms[job.threads]) if job.row_tokens else None,
    ]
    progress(WHAT, STEPS, STEPS)
    facts = facts_of(job, length, latency_ms, operations, peaks) | {
        "busy_cores": busy_cores,
        "file": "model.safetensors",
        "nodes": calls,
        "time_by_operator": shares((name.removeprefix("aten::"), us) for name, us in spent.items()),
    }
    return Examined(facts, by_cost(findings))


def _timed(
    job: Examination, model: Any, batch: Mapping[str, Any], length: int
) -> tuple[dict[int, float], tuple[int, float] | None, float]:
    """Milliseconds by threads; (tokens, milliseconds) of a row of median length; and cores busy with other work."""
    short = job.typical_length(length)
    calls_of = [(count, batch) for count in job.thread_counts]
    if short is not None:
        calls_of.append((job.threads, _made_inputs(model, Path(job.folder), short)))
    model(**batch)
    with watched() as others:
        timed = interleaved([partial(_call_ms, model, rows, count, job.call_seconds) for count, rows in calls_of])
    latency_ms = dict(zip(job.thread_counts, timed, strict=False))
    return latency_ms, None if short is None else (short, timed[-1]), others.busy_cores


def _made_inputs(model: Any, folder: Path, length: int) -> dict[str, Any]:
    import torch

    if model.main_input_name != "input_ids":
        raise InputError(
            f"{type(model).__name__} takes {model.main_input_name}, not token ids",
            where=str(folder),
            fix="doctor examines models of text; for others give the ONNX export",
        )
    row = torch.ones(1, length, dtype=torch.long)
    return {"input_ids": row, "attention_mask": row}


def _call_ms(model: Any, batch: Mapping[str, Any], threads: int, seconds: float) -> float:
    import torch

    torch.set_num_threads(threads)
    return median_ms(lambda: model(**batch), seconds)


def _profiled(model: Any, batch: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """Microseconds of each operator's own work in one call, and the number of operators in the call."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(PROFILED_CALLS):
            model(**batch)
    events = profiler.key_averages()
    spent = {item.key: item.self_cpu_time_total / PROFILED_CALLS for item in events}
    return spent, sum(item.count for item in events) // PROFILED_CALLS


def _operations(model: Any, batch: Mapping[str, Any]) -> dict[str, float]:
    """Operations of the fp32 matrix products in one call, without those of fused attention and of bitsandbytes."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(**batch)
    counted = float(counter.get_total_flops())
    return {"fp32": counted} if counted else {}


def _linear(model: Any, length: int, spent_us: float) -> list[Product]:
    """The linear layers as products; the total time is divided among them by their arithmetic."""
    import torch

    widths = [(item.in_features, item.out_features) for item in model.modules() if isinstance(item, torch.nn.Linear)]
    weights = sum(inputs * outputs for inputs, outputs in widths)
    return [
        Product("fp32", length, inputs, outputs, spent_us * inputs * outputs / weights) for inputs, outputs in widths
    ]


def eager(
    linear: Sequence[Product],
    calls: int,
    latency_ms: float,
    threads: int,
    total_us: float,
    rates: Rates,
    *,
    is_packed: bool,
) -> Finding:
    """The finding on eager execution, which every torch folder gets, with onnxruntime's time for the same products.

    Args:
        linear: the linear layers with their parts of the profiled `total_us`.
        calls: number of operators in a call.
        is_packed: whether the weights are those of bitsandbytes.
    """
    shapes = Counter((item.rows, item.inputs, item.outputs) for item in linear)
    measured = rates([Kernel("fp32", *shape, threads) for shape in shapes])
    onnx_us = sum(
        count * Kernel("fp32", *shape, threads).operations / rate / 1e3
        for (shape, count), rate in zip(shapes.items(), measured, strict=True)
    )
    evidence = f"a call takes {latency_ms:.2f} ms and runs {calls:,} operators"
    beside = f"onnxruntime needs {onnx_us / 1e3:.2f} ms for the same ones in fp32"
    if is_packed:
        return Finding(
            "bitsandbytes' weights save memory, not time: they are unpacked or rounded for in every call",
            f"{evidence}; {beside.replace('the same ones', 'its matrix products')}",
            f"for speed start from the float model: compress export, compress quantize, {COMPARE}",
        )
    spent_ms = latency_ms * sum(item.us for item in linear) / total_us
    return Finding(
        "torch runs the model operator by operator, which is rarely the fastest",
        f"{evidence}; its matrix products take {spent_ms:.2f} ms, {beside}",
        f"compress export FOLDER, {COMPARE}",
        max(0.0, (spent_ms - onnx_us / 1e3) / latency_ms),
    )


def number_format(saved: Mapping[str, int], threads: int, rates: Rates) -> Finding | None:
    """A finding if weights are saved in half precision, in which plain loading would also compute.

    Args:
        saved: number of weights by safetensors' name of the format.
    """
    most = max(saved, key=lambda name: saved[name], default="")
    if most not in HALVES:
        return None
    half, name = HALVES[most]
    in_half, in_fp32 = rates([Kernel(kind, *TYPICAL, threads) for kind in (half, "fp32")])
    faster = "float32" if in_half < in_fp32 else name
    return Finding(
        f"the weights are saved in {half}; they were examined in fp32, as compress loads them",
        f"through torch {half} products run at {times([in_half / in_fp32])} fp32's speed here",
        f"load them with dtype=torch.{faster} where you call the model yourself",
    )


def _saved_formats(folder: Path) -> dict[str, int]:
    import math

    from safetensors import safe_open

    saved: dict[str, int] = defaultdict(int)
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  not a dictionary
                piece = file.get_slice(name)
                saved[piece.get_dtype()] += math.prod(piece.get_shape())
    return saved


def _widths(
    linear: Sequence[Product], folder: Path, length: int, threads: int, total_us: float, rates: Rates
) -> Finding | None:
    """A finding if linear layers or heads have widths that are not multiples of 16 and cost time."""
    from compress.models.architectures import read_shape
    from compress.models.config_file import read_config

    spent: dict[tuple[Kernel, Kernel], float] = defaultdict(float)
    for item in linear:
        spent[with_even_widths(item, threads)] += item.us
    shape = read_shape(read_config(folder))
    weights = sum(item.inputs * item.outputs for item in linear)
    if shape is not None and weights:
        own, even = with_even_head(length, shape.head_size, threads)
        scores = 2 * length * sum(shape.heads) * shape.head_size  # number of weights with the same amount of arithmetic
        spent[own, even] += sum(item.us for item in linear) * scores / weights
    return slow_widths(spent, total_us, rates)
