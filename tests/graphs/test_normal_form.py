"""Graphs of other tools come into one form, which computes the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.graphs.embedding_tables import tables
from compress.graphs.matrices import has_products, left_in_float, matrices
from compress.graphs.normal_form import in_normal_form
from tests.chain import Chain
from tests.foreign import FORMS

OPSET = helper.make_opsetid("", 17)
RANDOM = np.random.default_rng(0)


def constant(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(RANDOM.standard_normal(shape).astype(np.float32), name)


def model_of(
    nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], shape: tuple[int, ...] = (4, 8)
) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[OPSET], ir_version=8)


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {item.name: item.type for item in session.get_inputs()}
    kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(float)": np.float32}
    found: list[np.ndarray] = session.run(
        None, {name: feeds[name].astype(kinds[kind]) for name, kind in wanted.items()}
    )
    return found


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


@pytest.mark.parametrize("step", ["onnx", "skipped"])
def test_a_graph_of_ours_is_in_that_form_already(step: str, chain: Chain) -> None:
    model = onnx.load(str(chain.artifacts[step].path / "model.onnx"))
    before = model.SerializeToString(deterministic=True)
    assert in_normal_form(model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_computes_the_same_and_shows_its_weights(
    form: Callable[[onnx.ModelProto], onnx.ModelProto], chain: Chain
) -> None:
    ours = onnx.load(str(chain.artifacts["onnx"].path / "model.onnx"))
    shown = len(matrices(ours)), len(tables(ours))
    model = form(ours)
    ids = np.random.default_rng(2).integers(5, 60, (6, 20))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    expected = run(model, feeds)
    normal = in_normal_form(copy_of(model))
    onnx.checker.check_model(normal)
    for ours_, theirs in zip(run(normal, feeds), expected, strict=True):
        assert np.abs(ours_ - theirs).max() < 1e-6
    more = form.__name__ == "table_is_tied"  # its table is multiplied by, too
    assert (len(matrices(normal)), len(tables(normal))) == (shown[0] + more, shown[1])
    known = {tensor.name for tensor in normal.graph.initializer}
    assert not [node.op_type for node in normal.graph.node if all(name in known for name in node.input)]
    assert not normal.functions
    assert not known & {item.name for item in normal.graph.input}
    weighing = [node.name for node in normal.graph.node if node.op_type in ("MatMul", "Gemm", "Gather", "Attention")]
    assert all(weighing)
    assert len(set(weighing)) == len(weighing)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(
    "settings",
    [{"alpha": 0.5}, {"beta": 3.0}, {"transA": 1}, {"alpha": 2.0, "beta": 0.25, "transA": 1, "transB": 1}],
    ids=str,
)
def test_the_factors_of_a_gemm_go_into_its_constants(settings: dict[str, Any], biased: bool) -> None:
    shape = (8, 4) if settings.get("transA") else (4, 8)
    weights = constant("w", 6, 8) if settings.get("transB") else constant("w", 8, 6)
    inputs = ["x", "w", "b"] if biased else ["x", "w"]
    model = model_of([helper.make_node("Gemm", inputs, ["y"], **settings)], [weights, constant("b", 6)], shape)
    feeds = {"x": RANDOM.standard_normal(shape).astype(np.float32)}
    (expected,) = run(model, feeds)
    normal = in_normal_form(model)
    gemm = normal.graph.node[-1]
    left = {item.name: helper.get_attribute_value(item) for item in gemm.attribute}
    assert (left.get("alpha", 1), left.get("beta", 1), left.get("transA", 0)) == (1, 1, 0)
    assert len(normal.graph.initializer) == 1 + biased
    assert np.allclose(run(normal, feeds)[0], expected, atol=1e-5)


def test_a_factor_of_what_is_no_constant_stays() -> None:
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=1),
        helper.make_node("Gemm", ["x", "w", "sum"], ["y"], beta=2.0, name="kept"),
    ]
    model = in_normal_form(model_of(nodes, [constant("w", 8, 6)]))
    assert {item.name: item.f for item in model.graph.node[-1].attribute} == {"beta": 2.0}


def test_the_same_name_is_given_once() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["middle"], name="same"),
        helper.make_node("MatMul", ["middle", "w"], ["y"], name="same"),
    ]
    model = in_normal_form(model_of(nodes, [constant("w", 8, 8)]))
    assert [node.name for node in model.graph.node] == ["same", "y"]


def test_what_would_grow_is_not_folded() -> None:
    nodes = [
        helper.make_node("Mul", ["column", "row"], ["large"]),
        helper.make_node("MatMul", ["x", "large"], ["y"]),
    ]
    model = in_normal_form(model_of(nodes, [constant("column", 4096, 1), constant("row", 1, 512)], (4, 4096)))
    assert [node.op_type for node in model.graph.node] == ["Mul", "MatMul"]


def branch() -> list[onnx.NodeProto]:
    """Two products in the branches of an If: one whose matrix stands outside of it, one whose stands inside."""
    outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    outer = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["z"], name="outer")], "a", [], outputs)
    inner_nodes = [
        helper.make_node("Constant", [], ["v"], value=constant("", 8, 8)),
        helper.make_node("MatMul", ["x", "v"], ["z"], name="inner"),
    ]
    inner = helper.make_graph(inner_nodes, "b", [], outputs)
    return [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["is"], to=TensorProto.BOOL),
        helper.make_node("If", ["is"], ["y"], then_branch=outer, else_branch=inner),
    ]


LEFT: dict[str, tuple[list[onnx.NodeProto], list[str]]] = {
    "constant first": ([helper.make_node("MatMul", ["w", "x"], ["y"], name="first")], ["first"]),
    "three axes": ([helper.make_node("MatMul", ["x", "deep"], ["y"], name="deep")], ["deep"]),
    "constant first in a Gemm": ([helper.make_node("Gemm", ["w", "x"], ["y"], name="left")], ["left"]),
    "einsum": ([helper.make_node("Einsum", ["x", "w"], ["y"], name="sum", equation="ij,jk->ik")], ["sum"]),
    "table": ([helper.make_node("Gather", ["w", "places"], ["y"], name="rows")], ["rows"]),
    "deep table": ([helper.make_node("Gather", ["deep", "places"], ["y"], name="rows", axis=1)], ["rows"]),
    "convolution": ([helper.make_node("Conv", ["batch", "deep"], ["y"], name="conv")], ["conv"]),
    "branches": (branch(), ["inner", "outer"]),
    "activations alone": ([helper.make_node("MatMul", ["x", "x"], ["y"], name="own")], []),
    "elementwise": ([helper.make_node("Mul", ["x", "w"], ["y"], name="elementwise")], []),
    "vector": ([helper.make_node("MatMul", ["x", "vector"], ["y"], name="vector")], []),
}


@pytest.mark.parametrize("form", LEFT)
def test_whatever_form_keeps_its_weights_is_told(form: str) -> None:
    nodes, left = LEFT[form]
    places = helper.make_node("Cast", ["x"], ["places"], to=TensorProto.INT64)
    rows = helper.make_node("Unsqueeze", ["x", "nought"], ["batch"])
    constants = [
        constant("w", 8, 8),
        constant("deep", 3, 8, 8),
        constant("vector", 8),
        numpy_helper.from_array(np.array([0], dtype=np.int64), "nought"),
    ]
    model = model_of([places, rows, *nodes], constants, (8, 8))
    feeds = {"x": np.zeros((8, 8), dtype=np.float32)}
    assert np.array_equal(run(in_normal_form(copy_of(model)), feeds)[0], run(model, feeds)[0])
    assert left_in_float(in_normal_form(model)) == left


def test_only_what_quantizers_know_counts_as_a_product() -> None:
    weights = [constant("w", 8, 8)]
    assert has_products(model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], weights))
    assert has_products(model_of([helper.make_node("Gemm", ["x", "w"], ["y"])], weights))
    assert not has_products(model_of([helper.make_node("MatMul", ["w", "x"], ["y"])], weights))
    assert not has_products(model_of([helper.make_node("Gather", ["w", "x"], ["y"])], weights))
