"""What only the branches of an If read is read: rewriting keeps it."""

import numpy as np
import onnx
import pytest
from onnx import helper

from compress.errors import InputError
from compress.graphs.matrices import matrices
from compress.graphs.subgraphs import all_nodes, reads
from compress.graphs.unread_tokens import skip_unread_tokens
from compress.graphs.write_half import in_half
from compress.graphs.write_int8 import put_int8
from compress.ops.int8 import largest_code, round_columns
from tests.chain import Chain
from tests.graphs import branches, graph_of, operators, random, run
from tests.processors import reduced_or_not

X, W = random(2, 5, 16), random(16, 8, seed=1)


def test_a_node_reads_what_its_branches_read_and_give() -> None:
    inner = branches(
        "d", "inner", then=[helper.make_node("Neg", ["deep"], ["a"])], other=[helper.make_node("Neg", ["b"], ["c"])]
    )
    node = branches("c", "y", then=[inner], other=[helper.make_node("Add", ["p", "q"], ["r"])])
    assert {"c", "d", "deep", "b", "p", "q"} <= reads(node)
    graph = graph_of([node], {}, {})
    assert [item.op_type for item in all_nodes(graph.graph)] == ["If", "Add", "If", "Neg", "Neg"]


@pytest.mark.int8
@reduced_or_not
@pytest.mark.parametrize("truth", [True, False])
def test_a_bias_stays_apart_where_a_branch_reads_the_product(truth: bool, reduce_range: bool) -> None:
    feeds = {"x": X, "c": np.array(truth)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="product"),
        helper.make_node("Add", ["h", "bias"], ["s"]),
        branches(
            "c",
            "i",
            then=[helper.make_node("Identity", ["h"], ["t"])],
            other=[helper.make_node("Neg", ["h"], ["e"])],
        ),
        helper.make_node("Add", ["s", "i"], ["y"]),
    ]
    graph = graph_of(nodes, feeds, {"w": W, "bias": np.ones(8, dtype=np.float32)})
    (expected,) = run(graph, feeds)
    rounded = round_columns(W, largest_code(reduce_range=reduce_range))
    put_int8(graph, matrices(graph), {"w": rounded}, None)
    assert operators(graph) == ["DynamicQuantizeMatMul", "Add", "If", "Add"]
    assert np.abs(run(graph, feeds)[0] - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("truth", [True, False])
def test_a_cast_that_only_a_branch_reads_stays_and_stands_before_it(truth: bool) -> None:
    feeds = {"x": X, "c": np.array(truth), "counts": np.full((2, 5, 8), 2, dtype=np.int64)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="product"),
        helper.make_node("Cast", ["counts"], ["many"], to=onnx.TensorProto.FLOAT, name="zz_cast"),
        branches(
            "c",
            "y",
            then=[helper.make_node("Mul", ["h", "many"], ["t"])],
            other=[helper.make_node("Neg", ["h"], ["e"])],
        ),
    ]
    graph = graph_of(nodes, feeds, {"w": W})
    (expected,) = run(graph, feeds)
    made, kept = in_half(graph, ["h", "many", "y"], [], [])
    assert kept == []
    assert [item.name for item in made.graph.node][-2:] == ["y_if", "graph_output_cast0"]
    assert np.abs(run(made, feeds)[0] - expected).max() < 0.005 * np.abs(expected).max()


def test_a_branch_that_reads_what_a_half_cannot_hold_is_refused() -> None:
    feeds = {"x": X, "c": np.array(True)}
    nodes = [
        branches(
            "c",
            "y",
            then=[helper.make_node("Mul", ["x", "k"], ["t"])],
            other=[helper.make_node("Neg", ["x"], ["e"])],
        )
    ]
    graph = graph_of(nodes, feeds, {"k": np.float32(1e5)})
    with pytest.raises(InputError, match="a branch of the node 'y_if' reads 'k'"):
        in_half(graph, ["y"], [], [])


@pytest.mark.parametrize("reader", ["branch", "output"])
def test_hidden_states_that_something_else_reads_are_computed_for_all_tokens(reader: str, chain: Chain) -> None:
    graph = onnx.load(str(chain.artifacts["onnx"].path / "model.onnx"))
    assert skip_unread_tokens(onnx.ModelProto.FromString(graph.SerializeToString())) > 0
    attention = [node for node in graph.graph.node if node.op_type == "Attention"][-1].output[0]
    if reader == "output":
        graph.graph.output.append(onnx.ValueInfoProto(name=attention))
    else:
        truth = helper.make_tensor("", onnx.TensorProto.BOOL, [], [1])
        graph.graph.node.extend(
            [
                helper.make_node("Constant", [], ["truth"], value=truth),
                branches(
                    "truth",
                    "more",
                    then=[helper.make_node("Neg", [attention], ["a"])],
                    other=[helper.make_node("Abs", [attention], ["b"])],
                ),
            ]
        )
    with pytest.raises(InputError, match="no attention that onnxruntime has fused"):
        skip_unread_tokens(graph)
