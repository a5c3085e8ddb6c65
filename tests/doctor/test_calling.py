"""Findings on how a model is called and shipped."""

import onnx
import pytest
from onnx import helper

from compress.doctor import calling
from compress.doctor.advice import Finding
from compress.doctor.executed import ProfiledGraph
from compress.graphs.read import check_external_data
from tests.doctor.subjects import FLOAT, graph, node, same_rates, two_layers


def test_numbers_of_threads():
    best = calling.slow_threads({1: 4.0, 2: 10.0, 4: 12.0}, 2, busy_cores=0.0)
    assert best is not None
    assert best == Finding(
        "1 thread is faster than 2", "4.00 ms on 1, 10.00 ms on 2, 12.00 ms on 4", "set threads: 1", 0.6
    )
    few = calling.slow_threads({1: 10.0, 4: 9.0}, 4, busy_cores=0.0)
    assert few is not None
    assert (few.what, few.cost) == ("4 threads are only 1.1x as fast as one", None)
    assert calling.slow_threads({1: 10.0, 2: 5.5, 4: 6.0}, 2, busy_cores=0.0) is None
    assert calling.slow_threads({1: 10.0, 2: 20.0}, 1, busy_cores=0.0) is None
    spoilt = calling.slow_threads({1: 4.0, 2: 10.0}, 2, busy_cores=1.2)
    assert spoilt is not None
    assert spoilt.evidence.endswith("but 1.2 cores were busy with other work meanwhile")
    assert (spoilt.cost, spoilt.fix[:16]) == (None, "run doctor again")


def test_padding_at_a_fixed_length():
    rows = [10] * 6 + [50] * 4  # 60 + 128 tokens of 320 at 32 a row
    found = calling.padding_waste(rows, 32, None, (10, 1.0), 4.0)
    assert found is not None
    assert found.what == "at 32 tokens a row, 41% of the tokens computed are padding"
    assert found.evidence == "half of 10 rows have 10 tokens or fewer: 10 tokens take 1.00 ms, 32 take 4.00 ms"
    assert found.cost == 0.75
    bound = calling.padding_waste(rows, 32, 32, None, 4.0)
    assert bound is not None
    assert bound.cost == pytest.approx(1 - 188 / 320)
    assert "the graph takes 32 and nothing else" in bound.evidence
    assert calling.padding_waste([32, 40], 32, None, None, 4.0) is None


def test_a_fixed_length_is_told_without_rows_too(subject):
    found = calling.padding(subject(two_layers(), fixed_length=32))
    assert found is not None
    assert found.what == "the graph takes 32 tokens a row and nothing else"
    assert calling.padding(subject(two_layers())) is None
    assert calling.padding(subject(two_layers(), row_tokens=[32, 32])) is None


def test_old_graphs_and_weights_that_can_be_fed_are_found(subject):
    old = graph([node("Relu", ["x"], ["y"])], opset=11)
    found = calling.age(subject(old))
    assert found is not None
    assert found.what == "the graph is of an old kind (opset 11, IR 8)"
    assert calling.age(subject(two_layers())) is None
    fed = two_layers()
    fed.graph.input.append(helper.make_tensor_value_info("up", FLOAT, [64, 96]))
    found = calling.age(ProfiledGraph(fed, [], 1, 32, {1: 1.0}, same_rates, lambda *_: 1.0))
    assert found is not None
    assert found.evidence == "1 weights are also inputs, so onnxruntime may neither fold nor pack them"


def test_weights_in_a_file_of_their_own_are_told(subject, tmp_path):
    path = tmp_path / "big.onnx"
    onnx.save(two_layers(), path, save_as_external_data=True, location="big.data", size_threshold=0)
    assert check_external_data(path) == ["big.data"]
    found = calling.external_data(subject(two_layers(), external={"big.data": 49_152_000}))
    assert found is not None
    assert found.evidence.startswith("big.data (49.2 MB)")
    assert calling.external_data(subject(two_layers(), external={})) is None
    assert calling.external_data(subject(two_layers(), external={"big.data": 3 * 2**30})) is None
