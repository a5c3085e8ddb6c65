"""Calls of graphs that fail, or never end."""

import signal
import threading
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.errors import CompressError, InputError
from compress.graphs.calls import bounded_call, call, short_failure
from tests.graphs import endless_graph

IDS = {"input_ids": np.full((1, 4), 9, np.int64)}


def session_of(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def looked_up() -> onnx.ModelProto:
    """A table of twelve rows where the last are zeros."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["out"], name="/embeddings/Gather")],
        "table",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["rows", "tokens"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.arange(12, dtype=np.float32), "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("run", [call, bounded_call])
def test_a_call_gives_what_the_session_gives(run: Any) -> None:
    assert run(session_of(looked_up()), None, IDS)[0].tolist() == [[9.0] * 4]


@pytest.mark.parametrize("run", [call, bounded_call])
def test_a_node_that_fails_is_named(run: Any) -> None:
    with pytest.raises(InputError) as caught:
        run(session_of(looked_up()), None, {"input_ids": np.array([[12]])}, "model.onnx")
    assert caught.value.what == (
        "the graph fails while it runs: indices element out of data bounds, idx=12 must be within the inclusive range "
        "[-12,11] (node '/embeddings/Gather', Gather)"
    )
    assert caught.value.where == "model.onnx"


def nothing_runs_on() -> bool:
    return "call of a graph" not in {thread.name for thread in threading.enumerate()}


def test_a_call_without_an_end_is_ended() -> None:
    session = session_of(endless_graph())
    with pytest.raises(CompressError, match=r"^a call of the graph did not end in 0 s"):
        bounded_call(session, None, IDS, seconds=0.3)
    assert nothing_runs_on()


def test_a_call_without_an_end_can_be_interrupted() -> None:
    class PressedError(Exception):
        pass

    def press(*_: object) -> None:
        raise PressedError

    before = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(PressedError):
            bounded_call(session_of(endless_graph()), None, IDS)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert nothing_runs_on()


def test_a_graph_that_cannot_be_loaded_is_told_without_the_place_in_the_librarys_source() -> None:
    said = (
        "[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed:/onnxruntime_src/core/graph/utils.h:46 void "
        "utils::Validate(const std::unordered_map<std::string, int>&, bool) Opset 9999 is under development.\nmore"
    )
    assert short_failure(RuntimeError(said)) == (
        "[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed: Opset 9999 is under development."
    )
    assert short_failure(RuntimeError("")) == "RuntimeError"
