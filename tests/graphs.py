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
