"""The examination of an ONNX file: it is read, called, profiled and diagnosed."""

import json
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from compress.benching import flops
from compress.context import Progress
from compress.doctor.diagnosis import diagnose
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
from compress.doctor.executed import Node, ProfiledGraph, read_events
from compress.doctor.surroundings import watched
from compress.errors import InputError
from compress.graphs.calls import bounded_call
from compress.graphs.read import check_external_data, read_graph
from compress.machine.kernels import best_seconds, onnx_session, peak_gflops, time_kernels
from compress.models.files import model_path

OPERATOR_SECONDS = 0.1
PROFILES, PROFILE_SECONDS = 3, 0.4
TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float16)": np.float16, "tensor(bool)": np.bool_}
CUDA = "CUDAExecutionProvider"


def examine_onnx(job: Examination, progress: Progress) -> Examined:
    """The examination of a graph: it is read, called, profiled and diagnosed.

    Raises:
        InputError: the file is not ONNX, or the graph does not run on its inputs.
    """
    path = Path(job.file) if job.file else model_path(Path(job.folder))
    external = check_external_data(path)
    model = read_graph(path)
    progress(WHAT, 1, STEPS)
    calls = _timed(job, path)
    progress(WHAT, 2, STEPS)
    runs = max(2, min(20, int(PROFILE_SECONDS * 1e3 / calls.latency_ms[job.threads])))
    nodes = read_events([flops.profile(path, calls.batch, job.threads, runs) for _ in range(PROFILES)])
    operations = flops.onnx_flops(path, calls.batch)
    progress(WHAT, 3, STEPS)
    peaks = peak_gflops(operations, job.threads, "cpu")
    progress(WHAT, 4, STEPS)
    subject = ProfiledGraph(
        model=model,
        nodes=nodes,
        threads=job.threads,
        length=calls.length,
        latency_ms=calls.latency_ms,
        busy_cores=calls.busy_cores,
        rates=partial(time_kernels, seconds=job.kernel_seconds),
        operator=partial(time_operator, job.threads),
        fixed_length=calls.fixed_length,
        row_tokens=job.row_tokens,
        typical=calls.typical,
        cuda=_on_cuda(path, calls.batch),
        external={name: (path.parent / name).stat().st_size for name in external},
    )
    findings = diagnose(subject)
    progress(WHAT, STEPS, STEPS)
    facts = facts_of(job, calls.length, calls.latency_ms, operations, peaks) | {
        "busy_cores": calls.busy_cores,
        "file": path.name,
        "nodes": len(nodes),
        "time_by_operator": shares((node.op, node.us) for node in nodes),
    }
    return Examined(facts, findings)


class _Calls(NamedTuple):
    """The timed calls of a graph, with their inputs; the fields are those of `ProfiledGraph`."""

    batch: dict[str, Any]
    length: int
    fixed_length: int | None
    latency_ms: dict[int, float]
    typical: tuple[int, float] | None
    busy_cores: float


def _timed(job: Examination, path: Path) -> _Calls:
    """The timed calls of a graph: on each number of threads, and with a row of median length."""
    session = partial(_session, path)
    fixed = fixed_length(session(1))
    length = length_of(job, fixed)
    batch = made_inputs(session(1), length)
    short = None if fixed is not None else job.typical_length(length)
    timers = [partial(call_ms, partial(session, count), batch, job.call_seconds) for count in job.thread_counts]
    if short is not None:
        rows = made_inputs(session(1), short)
        timers.append(partial(call_ms, partial(session, job.threads), rows, job.call_seconds))
    with watched() as others:
        timed = interleaved(timers)
    latency_ms = dict(zip(job.thread_counts, timed, strict=False))
    typical = None if short is None else (short, timed[-1])
    return _Calls(batch, length, fixed, latency_ms, typical, others.busy_cores)


def _unreadable(path: Path, error: Exception) -> InputError:
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return InputError(
        f"not a readable ONNX file ({path.stat().st_size:,} bytes): {first[:200]}",
        where=str(path),
        fix="export it again, or copy it whole, with the weight files that belong to it",
    )


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises classes of its own, without a common base but Exception
        raise _unreadable(path, error) from error


def fixed_length(session: Any) -> int | None:
    """The fixed number of tokens of the graph's inputs, or None."""
    for item in session.get_inputs():
        if len(item.shape) == 2 and isinstance(item.shape[1], int) and item.type == "tensor(int64)":
            return int(item.shape[1])
    return None


def made_inputs(session: Any, length: int) -> dict[str, Any]:
    """Inputs of one row for the graph: the same token everywhere, none masked."""
    batch: dict[str, Any] = {}
    for item in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 if axis == 0 else length for axis, size in enumerate(item.shape)]
        if "position" in item.name:
            value = np.broadcast_to(np.arange(shape[-1] if shape else 1), shape)
        else:
            value = np.full(shape, 0 if "type" in item.name else 1)
        batch[item.name] = value.astype(TYPES.get(item.type, np.float32))
    return batch


def call_ms(open_session: Callable[[], Any], batch: Mapping[str, Any], seconds: float) -> float:
    """Median latency of a call.

    Raises:
        InputError: the graph fails on generated inputs.
        CompressError: the first call does not end.
    """
    session = open_session()
    try:
        bounded_call(session, None, batch)
    except InputError as error:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in batch.items())
        raise InputError(
            f"on made-up inputs ({shapes}), {error.what}",
            where="--sequence-length",
            fix="try another one; doctor knows models of text with inputs of (batch, tokens)",
        ) from error
    return median_ms(lambda: session.run(None, dict(batch)), seconds)


def time_operator(threads: int, op: str, shape: tuple[int, int, int], heads: int = 1) -> float:
    """Microseconds of an operator, or of several written as `A+B`, on fp32 inputs of (batch, tokens, width)."""
    names = ("query", "key", "value") if op == "MultiHeadAttention" else ("rows", "skipped")
    norm = [numpy_helper.from_array(np.ones(shape[-1], np.float32), name) for name in ("scale", "shift")]
    nodes = {
        "MultiHeadAttention": [
            helper.make_node(op, [*names], ["out"], domain="com.microsoft", num_heads=heads),
        ],
        "SkipLayerNormalization": [
            helper.make_node(op, [*names, "scale", "shift"], ["out"], domain="com.microsoft"),
        ],
        "Add+LayerNormalization": [
            helper.make_node("Add", [*names], ["sum"]),
            helper.make_node("LayerNormalization", ["sum", "scale", "shift"], ["out"]),
        ],
    }[op]
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (*names, "out")}
    graph = helper.make_graph(
        nodes, op, [values[name] for name in names], [values["out"]], [] if op == "MultiHeadAttention" else norm
    )
    session = onnx_session(graph, threads, as_written=True)
    batch = {name: np.random.default_rng(0).standard_normal(shape, np.float32) for name in names}
    return best_seconds(lambda: session.run(None, batch), OPERATOR_SECONDS) * 1e6


def _on_cuda(path: Path, batch: Mapping[str, Any]) -> list[Node] | None:
    """The nodes of one call with the CUDA provider; None if there is none, or it does not start."""
    if CUDA not in onnxruntime.get_available_providers():
        return None
    with tempfile.TemporaryDirectory() as scratch:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "profile")
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=[CUDA, "CPUExecutionProvider"])
        if CUDA not in session.get_providers():
            return None
        for _ in range(2):
            session.run(None, dict(batch))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    kernels = [item for item in events if item.get("cat") == "Node" and item["name"].endswith("_kernel_time")]
    return read_events([kernels[len(kernels) // 2 :]])
