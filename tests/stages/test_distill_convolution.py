"""A student of one convolution: what is refused before any work, and what training and rounding make of it."""

import math
from collections.abc import Callable

import pytest

from compress.errors import InputError
from compress.models.load import load_model
from compress.planning.plan import Plan
from tests.chain import Chain
from tests.plans import TEACHER

SMALL = "hidden: 16, channels: 16"


def step(settings: str) -> str:
    return f"{{name: student, stage: distill_convolution, {settings}}}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (f"{SMALL}, hidden_weight: 1", "look inside a transformer, which this student is not: set both to 0"),
        (f"{SMALL}, relation_weight: 1", "look inside a transformer, which this student is not: set both to 0"),
        ("hidden: 33", "a table of 33 channels cannot start from token embeddings of 32"),
        (
            "hidden: 32, channels: 4096",
            r"rows of 32 channels with 393,216 weights behind it takes 1,58\d,\d\d\d bytes, and the model that",
        ),
        (f"{SMALL}, width: 0", "width"),
        (f"{SMALL}, augment: {{copies: 1, masked: 1}}", "augment.masked needs a masked language model"),
    ],
)
def test_what_cannot_be_is_refused_in_the_plan(settings: str, message: str, plan: Callable[..., Plan]) -> None:
    with pytest.raises(InputError, match=message):
        plan(TEACHER, step(settings))


@pytest.mark.int8
def test_in_int8_a_weight_of_the_table_and_of_the_convolution_takes_a_byte(chain: Chain) -> None:
    import onnx

    path = chain.artifacts["convolution_int8"].path / "model.onnx"
    graph = onnx.load(path).graph
    codes = {tuple(tensor.dims) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8}
    sizes = load_model(chain.artifacts["convolution"].path, "text-classification").config
    assert {(sizes.vocab_size, 16), (3 * 16, 16)} <= codes
    floats = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type == 1}
    assert max(floats.values()) <= 2 * 16, floats  # the classifier's matrix of two labels at most
    nodes = [node.op_type for node in graph.node]
    assert "DynamicQuantizeMatMul" in nodes
    assert not {"Conv", "ConvInteger"} & set(nodes)
