"""Kernels timed alone: what they compute, what their rates are made of, and what is told when they die."""

import time
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from compress.errors import CompressError
from compress.machine import kernels as machine
from compress.machine.kernels import ONNX_KINDS, PASSES, PEAK_SHAPES, Kernel, best_seconds, peak_gflops, time_kernels
from tests.fresh import fork_children

SMALL = (4, 64, 48, 1)


def test_every_kind_has_a_rate_and_progress_counts_every_turn():
    kernels = [Kernel(kind, *SMALL) for kind in (*ONNX_KINDS, "bf16")]
    told = []
    rates = time_kernels(kernels, 0.01, lambda done, total: told.append((done, total)))
    assert len(rates) == len(kernels)
    assert all(rate > 0 for rate in rates), rates
    assert told == [(done, PASSES * len(kernels)) for done in range(1, PASSES * len(kernels) + 1)]


def test_no_kernels_start_no_process(monkeypatch):
    monkeypatch.setattr(machine.sys, "executable", "/nowhere")
    assert time_kernels([]) == []
    assert peak_gflops([], 1, "cpu") == {}


def test_an_unknown_kind_fails_with_what_the_process_said(monkeypatch):
    fork_children(monkeypatch)
    with pytest.raises(CompressError, match="timing this machine's kernels failed: exit code 1: KeyError: 'int3'"):
        time_kernels([Kernel("int3", *SMALL)], 0.01)


def test_the_peak_is_the_best_of_a_kinds_shapes(monkeypatch):
    rates = {"fp32": [3.0, 5.0, 4.0], "int8": [9.0, 8.0, 7.0]}

    def time_fake(kernels):
        return [rates[item.kind][PEAK_SHAPES.index((item.rows, item.inputs, item.outputs))] for item in kernels]

    monkeypatch.setattr(machine, "time_kernels", time_fake)
    assert peak_gflops({"int8", "fp32"}, 2, "cpu") == {"fp32": 5.0, "int8": 9.0}


@pytest.mark.parametrize(("shape", "products"), [((1, 384, 1536), 16), ((1, 768, 3072), 4), ((128, 384, 1536), 1)])
def test_a_rate_counts_all_products_of_a_call(monkeypatch, shape, products):
    kernel = Kernel("fp32", *shape, 1)
    called = []
    monkeypatch.setattr(machine, "_onnx_call", lambda _, count: called.append(count) or (lambda: None))
    monkeypatch.setattr(machine, "best_seconds", lambda *_: 0.5)
    rate = machine._rate(kernel, 0.1)
    assert called == [products]
    assert rate == products * 2 * shape[0] * shape[1] * shape[2] / 0.5 / 1e9


@pytest.mark.parametrize("shape", PEAK_SHAPES)
def test_a_peak_is_of_a_single_product(shape):
    assert machine._products_in_call(Kernel("fp32", *shape, 1)) == 1


def test_the_best_of_many_calls_is_not_shorter_than_a_call():
    calls = []

    def call():
        calls.append(1)
        time.sleep(0.01)

    assert best_seconds(call, 0.05) >= 0.01
    assert len(calls) >= 2
    calls.clear()
    assert best_seconds(call, 0.0) >= 0.01
    assert len(calls) == 2, "one to warm up, one that counts"


@pytest.mark.int8
def test_kernels_compute_the_product_of_their_weights():
    """Each product of a call, against numpy: rows of ones give the sums of the weights' columns."""
    for kind, tolerance in (
        ("fp32", 1e-4),
        ("onnx_fp16", 0.5),
        ("int8", 0),
        ("int8_dynamic", 0.5),
        ("int8_static", 0.5),
    ):
        kernel = Kernel(kind, 2, 64, 48, 1)
        written = machine._onnx_product(kernel)
        weights = written.constants["w"].astype(np.float64)
        if kind in {"int8_dynamic", "int8_static"}:
            weights *= 0.01
        outputs = machine._onnx_call(kernel, 3)()
        assert len(outputs) == 3
        for given in outputs:
            np.testing.assert_allclose(given, np.tile(weights.sum(axis=0), (2, 1)), atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "operator", "level"),
    [
        ("fp32", "MatMul", None),
        ("int8", "MatMulInteger", None),
        ("int8_dynamic", "DynamicQuantizeMatMul", None),
        ("int8_static", "MatMul", None),
        ("4bit", "MatMulNBits", 4),
        ("4bit_float", "MatMulNBits", None),
    ],
)
def test_kinds_are_the_operators_that_graphs_run(kind, operator, level):
    written = machine._onnx_product(Kernel(kind, 2, 70, 48, 1))
    assert (written.operator, written.attributes.get("accuracy_level")) == (operator, level)
    if operator == "MatMulNBits":
        assert written.constants["w"].shape == (48, 3, 16), "70 inputs fill three blocks of 32, two to a byte"


@pytest.mark.int8
def test_onnxruntime_multiplies_integers_in_a_range_that_is_known(tmp_path):
    """Each product of a call rounds its own activations; nothing of the quantize-dequantize form is left."""
    graph = machine._graph(Kernel("int8_static", *SMALL), 3)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ran = Counter(node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node)
    assert ran == {"QuantizeLinear": 3, "MatMulIntegerToFloat": 3}
