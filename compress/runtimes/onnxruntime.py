"""ONNX Runtime, on CPU and CUDA."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from compress.errors import CompressError, InputError
from compress.graphs.calls import CALL_SECONDS, EXPORT_AGAIN, bounded_call, call, short_failure
from compress.graphs.feeds import feeds
from compress.machine.cuda import cuda_devices
from compress.models.files import MODEL_FILE, model_path
from compress.runtimes import TOKEN_TASKS, Predictor, cores_for

if TYPE_CHECKING:
    import onnx
    import onnxruntime

    from compress.recipe.schema import Target

FORMATS = ("onnx",)
CPU = "CPUExecutionProvider"
LARGEST_MESSAGE = 1_900_000_000
"""Bytes of weights that go into one message of protobuf, whose limit is 2 GiB."""
LOGITS = "logits"
"""The output that is read where a graph has several; otherwise the first."""
AXES = {"row": ("batch", "classes"), "token": ("batch", "tokens", "classes")}
"""The axes of the logits: of one output for each row, or for each token."""


def refuse(target: "Target") -> str | None:
    """Why it takes no target of these settings, or None."""
    return no_precision(target)


def no_precision(target: "Target") -> str | None:
    """Why a target's precision is refused, or None: an ONNX graph says its own."""
    if target.precision == "fp32":
        return None
    return f"{target.runtime} takes no 'precision': an ONNX file is run in the formats written in it"


def unavailable(target: "Target") -> str | None:
    """Why this target cannot be had here, or None."""
    return lacks_provider(_provider(target))


def lacks_provider(provider: str) -> str | None:
    """Why an execution provider cannot be had here, or None."""
    import onnxruntime

    if provider not in onnxruntime.get_available_providers():
        return f"this onnxruntime has no {provider} (install onnxruntime-gpu, and what it needs of CUDA)"
    if provider != CPU and not cuda_devices():
        return f"{provider} finds no CUDA device: the driver gives this process none"
    return None


def load(folder: Path, target: "Target", hub_task: str, *, trust_remote_code: bool, exclusive: bool) -> Predictor:
    """A session on the folder's model.onnx, with all of ONNX Runtime's own graph optimizations."""
    del trust_remote_code  # an ONNX file brings no code
    return open_session(folder, target, hub_task, [_provider(target)], exclusive=exclusive)


def open_session(folder: Path, target: "Target", hub_task: str, providers: list[str], *, exclusive: bool) -> Predictor:
    """A folder's graph on a target, its threads pinned where they have the process for themselves; see `open_file`."""
    cores, seconds = (cores_for(target), None) if exclusive else ([], CALL_SECONDS)
    gives: Literal["row", "token"] = "token" if hub_task in TOKEN_TASKS else "row"
    return open_file(model_path(folder), providers, target.threads, cores=cores, seconds=seconds, gives=gives)


def open_file(
    path: Path,
    providers: list[str],
    threads: int,
    *,
    cores: Sequence[int] = (),
    seconds: float | None = CALL_SECONDS,
    gives: Literal["row", "token"] = "row",
) -> Predictor:
    """A predictor from a session on a file; each node runs on the first of `providers` that takes it.

    Args:
        threads: how many threads compute one operation.
        cores: the cores that the threads are pinned to, one each; the first is the calling thread's. Left out: none.
        seconds: the longest time of a call; None: no limit, in a process that is itself limited in time.
        gives: whether the outputs are of each row or of each token.

    Raises:
        CompressError: the file cannot be loaded, or the first provider does not start.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if len(cores) > 1:  # the option counts processors from 1
        affinities = ";".join(str(core + 1) for core in cores[1:])
        options.add_session_config_entry("session.intra_op_thread_affinities", affinities)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # the library raises classes of its own, without a common base but Exception
        raise CompressError(
            f"onnxruntime cannot load the model: {short_failure(error)}", where=str(path), fix=EXPORT_AGAIN
        ) from error
    if session.get_providers()[0] != providers[0]:
        raise CompressError(
            f"onnxruntime fell back from {providers[0]} to {session.get_providers()[0]}",
            where=str(path),
            fix="check the CUDA and cuDNN libraries that onnxruntime-gpu needs",
        )
    if cores:
        os.sched_setaffinity(0, cores[:1])
    return predictor_of(session, path, seconds, gives)


def open_graph(model: "onnx.ModelProto", gives: Literal["row", "token"] = "row") -> Predictor:
    """A predictor from a graph in memory, on the CPU, with the runtime's own number of threads.

    Args:
        gives: whether the outputs are of each row or of each token.

    Raises:
        CompressError: it cannot be loaded.
    """
    return predictor_of(graph_session(model), None, gives=gives)


def graph_session(model: "onnx.ModelProto") -> "onnxruntime.InferenceSession":
    """A session on a graph in memory; a graph too large for one message is loaded from temporary files.

    Raises:
        CompressError: it cannot be loaded.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    providers = [CPU]
    try:
        if sum(len(tensor.raw_data) for tensor in model.graph.initializer) < LARGEST_MESSAGE:
            return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / MODEL_FILE
            onnx.save(model, str(path), save_as_external_data=True, location="weights.bin")
            return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # the library raises classes of its own, without a common base but Exception
        raise CompressError(f"onnxruntime cannot load the graph: {short_failure(error)}", fix=EXPORT_AGAIN) from error


def predictor_of(
    session: "onnxruntime.InferenceSession",
    path: Path | None,
    seconds: float | None = CALL_SECONDS,
    gives: Literal["row", "token"] = "row",
) -> Predictor:
    """The predictor of a session: it computes the output `logits`, or the first output where none has that name.

    Args:
        seconds: the longest time of a call; None: no limit, in a process that is itself limited in time.
        gives: whether the outputs are of each row or of each token.
    """
    where = str(path) if path else None
    feed = feeds(session, where)
    outputs = [item.name for item in session.get_outputs()]
    output = LOGITS if LOGITS in outputs else outputs[0]
    run = call if seconds is None else partial(bounded_call, seconds=seconds)

    def predict(batch: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        result = run(session, [output], feed(batch), where=where)[0]
        shape = next(iter(batch.values())).shape[: len(AXES[gives]) - 1]  # (batch,) or (batch, tokens)
        if getattr(result, "shape", ())[:-1] != shape or result.dtype.kind != "f":
            raise _logits_error(output, result, gives, shape[0], where)
        return result

    return predict


def _logits_error(output: str, result: Any, gives: Literal["row", "token"], rows: int, where: str | None) -> InputError:
    kind = f"{result.dtype} of the shape {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
    return InputError(
        f"the graph's output '{output}' is {kind} for {rows} rows; logits of ({', '.join(AXES[gives])}) are needed",
        where=where,
        fix="export the model with its task's head, and its logits as the first output or by the name 'logits'",
    )


def _provider(target: "Target") -> str:
    return "CUDAExecutionProvider" if target.device == "cuda" else CPU
