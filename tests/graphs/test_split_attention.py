"""Fused attention of any exporter becomes products that compute the same, or stays whole and in float."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from compress.graphs.matrices import fits_8_bits, left_in_float, matrices
from compress.graphs.read import split_attention
from compress.graphs.write_int8 import put_int8
from compress.ops.int8 import largest_code, round_columns
from tests.graphs import copy_of, graph_of, names, operators, random, run
from tests.processors import reduced_or_not

pytestmark = pytest.mark.int8

FEEDS = {"x": random(2, 5, 16), "mask": np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=np.int32)}
CONSTANTS = {"qkv": random(16, 48, seed=1) * 0.3, "bias": random(48, seed=2)}
INPUTS = ("x", "qkv", "bias", "mask")


def attention(*inputs: str, outputs: tuple[str, ...] = ("y",), name: str = "attention", **settings: Any) -> Any:
    return helper.make_node(
        "Attention", inputs, outputs, name=name, domain="com.microsoft", **{"num_heads": 4} | settings
    )


def rounded(graph: onnx.ModelProto, *, reduce_range: bool = True) -> onnx.ModelProto:
    """Its products and what attention fits in 7 or 8 bits, the rest split if it can be."""
    made = copy_of(graph)
    split_attention(made, fits_8_bits)
    products, largest = matrices(made, attention=True), largest_code(reduce_range=reduce_range)
    put_int8(made, products, {item.name: round_columns(item.weights, largest) for item in products}, None)
    return made


def check(graph: onnx.ModelProto, feeds: dict[str, np.ndarray], *, reduce_range: bool) -> onnx.ModelProto:
    """Split and rounded graphs compute what the graph does; gives the split one."""
    split = copy_of(graph)
    split_attention(split)
    expected = run(graph, feeds)
    for ours, theirs in zip(run(split, feeds), expected, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-5
    for ours, theirs in zip(run(rounded(graph, reduce_range=reduce_range), feeds), expected, strict=True):
        assert np.abs(ours - theirs).max() < 0.05 * np.abs(theirs).max()
    return split


@reduced_or_not
def test_attentions_that_share_their_weights_share_the_parts(reduce_range: bool) -> None:
    nodes = [
        attention(*INPUTS, outputs=("middle",), name="first"),
        attention("middle", *INPUTS[1:], name="second"),
    ]
    graph = graph_of(nodes, FEEDS, CONSTANTS)
    split = check(graph, FEEDS, reduce_range=reduce_range)
    assert names(split) == ["bias", "qkv_query", "qkv_key", "qkv_value"]
    assert operators(split) == ["MatMul", "MatMul", "MatMul", "MultiHeadAttention"] * 2
    assert left_in_float(rounded(graph)) == []


@reduced_or_not
def test_attentions_that_share_their_weights_in_other_widths_have_parts_of_their_own(reduce_range: bool) -> None:
    nodes = [
        attention(*INPUTS, outputs=("middle",), name="first"),
        attention("middle", *INPUTS[1:], name="second", qkv_hidden_sizes=[8, 8, 32]),
    ]
    split = check(graph_of(nodes, FEEDS, CONSTANTS), FEEDS, reduce_range=reduce_range)
    assert len(set(names(split))) == len(names(split)) == 7


@reduced_or_not
def test_a_weight_that_something_else_reads_stays(reduce_range: bool) -> None:
    nodes = [attention(*INPUTS), helper.make_node("Neg", ["qkv"], ["z"])]
    assert "qkv" in names(check(graph_of(nodes, FEEDS, CONSTANTS, ("y", "z")), FEEDS, reduce_range=reduce_range))


@reduced_or_not
def test_attention_without_bias_is_split_since_integers_need_one(reduce_range: bool) -> None:
    graph = graph_of([attention("x", "qkv", "", "mask")], FEEDS, {"qkv": CONSTANTS["qkv"]})
    check(graph, FEEDS, reduce_range=reduce_range)
    assert not fits_8_bits(graph.graph.node[0])
    assert "QAttention" not in operators(rounded(graph))
    assert "QAttention" in operators(rounded(graph_of([attention(*INPUTS)], FEEDS, CONSTANTS)))


@reduced_or_not
def test_attention_that_gives_its_keys_and_values_stays_whole_and_is_told(reduce_range: bool) -> None:
    feeds = {"x": FEEDS["x"]}
    nodes = [attention("x", "qkv", "bias", outputs=("y", "present"), unidirectional=1)]
    graph = graph_of(nodes, feeds, CONSTANTS, ("y", "present"))
    for made in (check(graph, feeds, reduce_range=reduce_range), rounded(graph)):
        assert operators(made) == ["Attention"]
        assert left_in_float(made) == ["attention"]
    assert run(graph, feeds)[1].shape == (2, 2, 4, 5, 4)


@pytest.mark.parametrize("settings", [{"do_rotary": 1}, {"do_rotary": 1, "rotary_embedding_dim": 4}], ids=str)
def test_attention_with_rotary_positions_stays_whole(settings: dict[str, int]) -> None:
    graph = graph_of([attention(*INPUTS, **settings)], FEEDS, CONSTANTS)  # a CPU cannot run it
    assert split_attention(copy_of(graph)) == 0
    assert operators(rounded(graph)) == ["Attention"]
