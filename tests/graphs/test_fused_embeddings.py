"""Fused embeddings of other tools, written as the operators that they stand for."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compress.graphs.embedding_tables import tables, tables_to_8_bits
from compress.graphs.fused_embeddings import split_embeddings
from tests.graphs import copy_of, graph_of, random, run

IDS = np.array([[3, 5, 7, 2], [1, 9, 0, 0]], dtype=np.int32)
CONSTANTS = {
    "words": random(12, 8),
    "places": random(6, 8, seed=1),
    "kinds": random(2, 8, seed=2),
    "gamma": random(8, seed=3),
    "beta": random(8, seed=4),
}
FEEDS = {
    "ids": IDS,
    "segments": np.array([[0, 0, 1, 1], [0, 1, 0, 0]], dtype=np.int32),
    "mask": (IDS > 0).astype(np.int32),
    "place_ids": np.array([[2, 3, 4, 5], [2, 3, 4, 4]], dtype=np.int32),
}
KINDS = ("segments", "kinds")


def fused(optional: Sequence[str], outputs: Sequence[str], opset: int = 17) -> tuple[onnx.ModelProto, dict]:
    """One whose graph gives these outputs; the operator counts tokens whether they are read or not."""
    inputs = ["ids", "segments", "words", "places", "kinds", "gamma", "beta", "mask", "place_ids"]
    inputs = [name if name in optional or name not in (*KINDS, "mask", "place_ids") else "" for name in inputs]
    gives = ["y", "count", "total"] if "total" in outputs else ["y", "count"]
    settings = {"name": "all", "domain": "com.microsoft", "epsilon": 1e-3}
    node = helper.make_node("EmbedLayerNormalization", inputs, gives, **settings)
    feeds = {name: array for name, array in FEEDS.items() if name in inputs}
    constants = {name: array for name, array in CONSTANTS.items() if name in inputs}
    model = graph_of([node], feeds, constants, outputs)
    model.opset_import[0].version = opset
    for output in model.graph.output:
        if output.name == "count":
            output.CopyFrom(helper.make_tensor_value_info("count", TensorProto.INT32, None))
    return model, feeds


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize(
    ("optional", "outputs"),
    [
        ((*KINDS, "mask"), ("y", "count")),
        ((*KINDS, "mask", "place_ids"), ("y", "count", "total")),
        (KINDS, ("y",)),
        ((), ("y", "total")),
        (("place_ids",), ("y",)),
    ],
)
def test_it_computes_the_same(optional: Sequence[str], outputs: Sequence[str], opset: int) -> None:
    model, feeds = fused(optional, outputs, opset)
    split = copy_of(model)
    assert split_embeddings(split) == 1
    assert "EmbedLayerNormalization" not in {node.op_type for node in split.graph.node}
    for ours, theirs in zip(run(split, feeds), run(model, feeds), strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-5


def test_its_tables_can_be_rounded() -> None:
    model, feeds = fused((*KINDS, "mask"), ("y", "count"))
    split = copy_of(model)
    split_embeddings(split)
    assert [table.node.input[0] for table in tables(split)] == ["words", "places", "kinds"]
    assert tables_to_8_bits(split) == 3
    assert {"words", "places", "kinds"}.isdisjoint(tensor.name for tensor in split.graph.initializer)
    assert 0 < np.abs(run(split, feeds)[0] - run(model, feeds)[0]).max() < 0.1


def test_what_counts_tokens_without_a_mask_stays_whole() -> None:
    model, _ = fused(KINDS, ("y", "count"))
    assert split_embeddings(copy_of(model)) == 0
    old, _ = fused(KINDS, ("y",), opset=10)
    assert split_embeddings(copy_of(old)) == 0
