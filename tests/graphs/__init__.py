"""Small ONNX graphs that a test builds node by node."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

KINDS = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32, "bool": TensorProto.BOOL}


def random(*shape: int, seed: int = 0) -> np.ndarray:
    """Floats of a standard normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def graph_of(
    nodes: Sequence[onnx.NodeProto],
    feeds: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    outputs: Sequence[str] = ("y",),
) -> onnx.ModelProto:
    """A graph whose inputs are of the kind that the feeds are, and whose outputs are floats."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, KINDS[str(array.dtype)], None) for name, array in feeds.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def branches(
    condition: str, output: str, *, then: Sequence[onnx.NodeProto], other: Sequence[onnx.NodeProto]
) -> onnx.NodeProto:
    """An If; each branch gives what its last node gives."""
    parts = {}
    for key, nodes in {"then_branch": then, "else_branch": other}.items():
        gives = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
        parts[key] = helper.make_graph(list(nodes), key, [], [gives])
    return helper.make_node("If", [condition], [output], name=f"{output}_if", **parts)


def run(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What the graph gives on one thread of a CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, dict(feeds))
    return found


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, to be changed apart."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def names(model: onnx.ModelProto) -> list[str]:
    """Of the constants."""
    return [tensor.name for tensor in model.graph.initializer]


def operators(model: onnx.ModelProto) -> list[str]:
    """Kinds of the nodes, in order."""
    return [node.op_type for node in model.graph.node]


def endless_graph(*, quiet_up_to: int = 0) -> onnx.ModelProto:
    """A graph of `input_ids` whose `logits`, (rows, 2), go through a Loop without an end.

    Args:
        quiet_up_to: rows of so many tokens do not get to the Loop.
    """
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_and_on"]), helper.make_node("Add", ["now", "now"], ["next"])],
        "body",
        [
            value("turn", TensorProto.INT64, []),
            value("on", TensorProto.BOOL, []),
            value("now", TensorProto.FLOAT, None),
        ],
        [value("on_and_on", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, None)],
    )
    loop = helper.make_node("Loop", ["", "yes", "plain"], ["loud"], body=body)
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("MatMul", ["mean", "weights"], ["plain"], name="head"),
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "second"], ["tokens"]),
        helper.make_node("Greater", ["tokens", "few"], ["is_long"]),
        branches("is_long", "logits", then=[loop], other=[helper.make_node("Identity", ["plain"], ["still"])]),
    ]
    constants = {
        "weights": random(1, 2),
        "yes": np.array(True),
        "second": np.array(1),
        "few": np.array(quiet_up_to),
    }
    model = graph_of(nodes, {"input_ids": np.ones((1, 1), np.int64)}, constants, ["logits"])
    for axis, name in enumerate(("rows", "tokens")):
        shape = model.graph.input[0].type.tensor_type.shape
        shape.dim.add()
        shape.dim[axis].dim_param = name
    return model
