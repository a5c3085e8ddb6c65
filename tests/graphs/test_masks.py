"""Which constants do nothing but mask, in graphs of ours and in others'; what becomes of those that do more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.export.export import export
from compress.graphs.masks import MASKING, clip_masks
from compress.graphs.read import read_float_graph
from compress.graphs.write_half import in_half
from compress.models.load import load_model
from tests.conftest import LABELS
from tests.graphs import copy_of, graph_of, random, run

LOW = np.float32(-3.4e38)
FEEDS = {"x": random(2, 5, 5), "there": np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=np.int64)}
CAST = helper.make_node("Cast", ["there"], ["f"], to=TensorProto.FLOAT)
WIDE = helper.make_node("Unsqueeze", ["f", "axes"], ["m"])  # (batch, 1, tokens), 1 for a token
CONSTANTS = {
    "axes": np.array([1], dtype=np.int64),
    "one": np.float32(1),
    "low": LOW,
    "high": -LOW,
    "nought": np.float32(0),
}


def softmax(name: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Softmax", [name], ["y"], axis=-1)]


def node(kind: str, inputs: list[str], output: str, **settings: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=output, **settings)


MASKED: dict[str, list[onnx.NodeProto]] = {
    "times what is absent": [
        node("Sub", ["one", "m"], "absent"),
        node("Mul", ["absent", "low"], "lows"),
        node("Add", ["x", "lows"], "scores"),
    ],
    "times presence less one": [
        node("Sub", ["m", "one"], "absent"),
        node("Mul", ["high", "absent"], "lows"),
        node("Add", ["lows", "x"], "scores"),
    ],
    "taken off": [
        node("Sub", ["one", "m"], "absent"),
        node("Mul", ["absent", "high"], "highs"),
        node("Sub", ["x", "highs"], "scores"),
    ],
    "instead of scores": [
        node("Cast", ["m"], "is", to=TensorProto.BOOL),
        node("Where", ["is", "x", "low"], "scores"),
    ],
    "chosen, then added": [
        node("Cast", ["m"], "is", to=TensorProto.BOOL),
        node("Where", ["is", "nought", "low"], "lows"),
        node("Identity", ["lows"], "same"),
        node("Add", ["x", "same"], "scores"),
    ],
}
DOES_MORE: dict[str, list[onnx.NodeProto]] = {
    "factor of scores": [node("Mul", ["x", "low"], "scores")],
    "factor of what is not 0 or 1": [
        node("Mul", ["m", "five"], "many"),
        node("Mul", ["many", "low"], "lows"),
        node("Add", ["x", "lows"], "scores"),
    ],
    "divisor": [node("Div", ["x", "low"], "scores")],
    "where it is asked": [node("Equal", ["x", "low"], "is"), node("Where", ["is", "x", "nought"], "scores")],
    "added to no scores": [node("Add", ["x", "low"], "more"), node("Div", ["more", "low"], "scores")],
}


@pytest.mark.parametrize("form", MASKED)
def test_constants_that_only_mask_are_cut_and_mask_as_before(form: str) -> None:
    graph = graph_of([CAST, WIDE, *MASKED[form], *softmax("scores")], FEEDS, CONSTANTS)
    (expected,) = run(graph, FEEDS)
    assert (expected[1, :, 3:] == 0).all()
    cut = copy_of(graph)
    used = {name for item in graph.graph.node for name in item.input}
    assert clip_masks(cut) >= len({"low", "high"} & used)
    assert np.array_equal(run(cut, FEEDS)[0], expected)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in cut.graph.initializer}
    assert (values["low"] if "low" in used else -values["high"]) == -MASKING


@pytest.mark.parametrize("form", DOES_MORE)
def test_constants_that_do_more_stay(form: str) -> None:
    constants = CONSTANTS | {"five": np.float32(5)}
    graph = graph_of([CAST, WIDE, *DOES_MORE[form], *softmax("scores")], FEEDS, constants)
    clip_masks(graph)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    assert values["low"] == LOW


def test_what_a_graph_gives_is_not_cut() -> None:
    nodes = [CAST, WIDE, *MASKED["times what is absent"], *softmax("scores")]
    graph = graph_of(nodes, FEEDS, CONSTANTS | {"high": np.float32(1)}, ("y", "scores"))
    assert clip_masks(graph) == 0


@pytest.mark.parametrize(
    ("constant", "kept"), [(np.float32(20_000), []), (np.float32(160_000), ["h"]), (np.float32(np.inf), [])], ids=str
)
def test_factors_are_halves_if_they_fit_and_else_their_readers_stay_in_float(
    constant: np.float32, kept: list[str]
) -> None:
    feeds = {"x": random(2, 5, 16) * np.float32(1e-3)}
    kind = "Mul" if np.isfinite(constant) else "Min"
    nodes = [node(kind, ["x", "k"], "h"), node("MatMul", ["h", "w"], "y")]
    graph = graph_of(nodes, feeds, {"k": constant, "w": random(16, 8, seed=1) * np.float32(1e-3)})
    (expected,) = run(graph, feeds)
    assert clip_masks(graph) == 0
    made, found = in_half(graph, ["h", "y"], [], [])
    assert found == (kept if kind == "Mul" else ["h"])  # Min stays in float wherever it stands
    assert np.abs(run(made, feeds)[0] - expected).max() < 0.005 * np.abs(expected).max()


def test_a_power_of_a_large_base_is_right() -> None:
    feeds = {"x": random(2, 5, 8)}
    nodes = [node("Pow", ["theta", "e"], "f"), node("Div", ["x", "f"], "y")]
    graph = graph_of(nodes, feeds, {"theta": np.float32(160_000), "e": (np.arange(8) / 8).astype(np.float32)})
    (expected,) = run(graph, feeds)
    clip_masks(graph)
    made, kept = in_half(graph, ["f", "y"], ["f"], [])
    assert kept == ["f", "y"]
    assert np.abs(run(made, feeds)[0] / expected - 1).max() < 0.01


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "albert", "modernbert"])
def test_the_masks_of_all_families_are_known(
    family: str, attention: str, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = load_model(make_model(family), "text-classification", labels=LABELS, attention=attention)
    export(model, tmp_path / "model.onnx", opset=17, fuses=False)
    graph = read_float_graph(tmp_path / "model.onnx")
    assert (clip_masks(graph) > 0) == (attention == "eager")
    floats = [item for item in graph.graph.initializer if item.data_type == TensorProto.FLOAT]
    large = [
        item for item in map(numpy_helper.to_array, floats) if (np.isfinite(item) & (np.abs(item) > MASKING)).any()
    ]
    assert large == []
