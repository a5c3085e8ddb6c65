"""One tensor that activations are multiplied by, rows are gathered from, and more."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper

from compress.graphs.divide import divide, readers
from compress.graphs.embedding_tables import tables_to_4_bits, tables_to_8_bits
from compress.graphs.matrices import gemms_to_matmuls, matrices
from compress.graphs.write_blocks import put_blocks
from compress.graphs.write_int8 import put_int8
from compress.graphs.write_qdq import put_qdq
from compress.ops.blockwise import round_to_nearest
from compress.ops.int8 import round_columns
from tests.graphs import branches, copy_of, graph_of, names, operators, random, run

ROWS, CHANNELS, BLOCK = 1024, 32, 32
TABLE = random(ROWS, CHANNELS, seed=1)
FEEDS = {"x": random(1, 3, ROWS), "ids": np.array([[1, 7, 1023]], dtype=np.int64)}
NODES = [
    helper.make_node("MatMul", ["x", "w"], ["y"], name="product"),
    helper.make_node("Gather", ["w", "ids"], ["z"], name="table"),
]


def eight_bits(graph: onnx.ModelProto) -> None:
    put_int8(graph, matrices(graph), {"w": round_columns(TABLE, 127)}, None)


def static_operators(graph: onnx.ModelProto) -> None:
    put_int8(graph, matrices(graph), {"w": round_columns(TABLE, 127)}, {"x": (-4.0, 4.0)})


def static_qdq(graph: onnx.ModelProto) -> None:
    put_qdq(graph, matrices(graph), {"w": round_columns(TABLE, 127)}, {"x": (-4.0, 4.0)})


def four_bits(graph: onnx.ModelProto) -> None:
    blocks = round_to_nearest(TABLE.T, 4, BLOCK, symmetric=False)
    put_blocks(graph, {"w": blocks}, matrices(graph), 4, 0)


def table_in_8_bits(graph: onnx.ModelProto) -> None:
    tables_to_8_bits(graph)


def table_in_4_bits(graph: onnx.ModelProto) -> None:
    tables_to_4_bits(graph, BLOCK, symmetric=False)


@pytest.mark.int8
@pytest.mark.parametrize("table", [table_in_8_bits, table_in_4_bits])
@pytest.mark.parametrize("product", [eight_bits, static_operators, static_qdq, four_bits])
def test_a_tensor_that_is_matrix_and_table_is_written_as_both(
    product: Callable[[onnx.ModelProto], None], table: Callable[[onnx.ModelProto], None]
) -> None:
    graph = graph_of(NODES, FEEDS, {"w": TABLE}, ("y", "z"))
    expected = run(graph, FEEDS)
    product(graph)
    table(graph)
    assert len(set(names(graph))) == len(names(graph))
    assert "w" not in names(graph)
    for ours, theirs in zip(run(graph, FEEDS), expected, strict=True):
        assert (
            np.abs(ours - theirs).std()
            < (0.15 if four_bits is product or table is table_in_4_bits else 0.03) * theirs.std()
        )


SHARED: dict[str, tuple[list[onnx.NodeProto], tuple[str, ...]]] = {
    "table": ([NODES[1]], ("y", "z")),
    "elementwise": ([helper.make_node("Neg", ["w"], ["z"])], ("y", "z")),
    "output": ([], ("y", "w")),
    "activation": ([helper.make_node("MatMul", ["w", "v"], ["z"], name="other")], ("y", "z")),
    "branch": (
        [
            helper.make_node("Constant", [], ["c"], value=helper.make_tensor("", onnx.TensorProto.BOOL, [], [1])),
            branches(
                "c", "z", then=[helper.make_node("Neg", ["w"], ["a"])], other=[helper.make_node("Abs", ["w"], ["b"])]
            ),
        ],
        ("y", "z"),
    ),
}


@pytest.mark.parametrize("reader", SHARED)
def test_a_matrix_that_something_else_reads_is_not_scaled(reader: str) -> None:
    more, outputs = SHARED[reader]
    constants = {"w": TABLE, "v": random(CHANNELS, 4, seed=3)}
    graph = graph_of([NODES[0], *more], FEEDS, constants, outputs)
    assert "x" not in readers(graph, matrices(graph))


def test_a_matrix_of_products_alone_is_scaled_and_computes_the_same() -> None:
    nodes = [NODES[0], helper.make_node("MatMul", ["x", "v"], ["z"]), helper.make_node("MatMul", ["x", "w"], ["again"])]
    constants = {"w": TABLE, "v": random(ROWS, 4, seed=3)}
    graph = graph_of(nodes, FEEDS, constants, ("y", "z", "again"))
    expected = run(graph, FEEDS)
    divide(graph, matrices(graph), {"x": np.linspace(0.5, 4, ROWS)})
    assert operators(graph) == ["Mul", "MatMul", "MatMul", "MatMul"]
    for ours, theirs in zip(run(graph, FEEDS), expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-3


def test_a_matrix_of_several_gemms_is_turned_once() -> None:
    feeds = {"x": random(3, 16), "other": random(3, 16, seed=4), "third": random(3, 8, seed=5)}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "bias"], ["y"], name="first", transB=1),
        helper.make_node("Gemm", ["other", "w", "bias"], ["z"], name="second", transB=1),
        helper.make_node("Gemm", ["third", "w"], ["straight"], name="third"),
    ]
    constants = {"w": random(8, 16, seed=6), "bias": random(8, seed=7)}
    graph = graph_of(nodes, feeds, constants, ("y", "z", "straight"))
    expected = run(graph, feeds)
    made = copy_of(graph)
    assert gemms_to_matmuls(made) == 3
    assert sorted(names(made)) == ["bias", "w", "w_of_first"]
    for ours, theirs in zip(run(made, feeds), expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-5
