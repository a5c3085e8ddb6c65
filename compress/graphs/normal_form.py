"""The form of an ONNX graph that quantizers read, whichever tool exported it."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from compress.graphs.matrices import WEIGHS, drop_unread

FOLDED = frozenset(
    "Constant Identity Cast CastLike Transpose Reshape Flatten Squeeze Unsqueeze Concat Slice Split Shape Gather "
    "Add Sub Mul Div Neg Sqrt Reciprocal".split()
)
"""Operators that exporters put between a weight and its reader; none of them gives much more than it reads."""
SMALL = 65536
"""Bytes of a result that is always folded. A larger result is folded if it is at most twice the size of its operands,
as floats made of halves are."""
LEAST_IR = 4
"""The first version of the ONNX format in which a constant need not be an input too."""


def in_normal_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same computation, with weights as constants that products read directly, and with named nodes.

    Local functions are inlined; constants are not inputs; what is computed of constants alone is a constant; a Gemm has
    no factors and transposes only its matrix; each node that reads weights has a name of its own.

    A graph that this package exported is in that form already. Only nodes without a name get one.

    Args:
        model: may be changed in place; use the graph that is returned.
    """
    model = without_functions(model)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, LEAST_IR)
    _fold(graph, model.opset_import)
    _make_gemms_plain(graph)
    drop_unread(model)
    _name_nodes(graph)
    return model


def without_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same computation, with each call of a local function replaced by the function's body."""
    return inline_local_functions(model) if model.functions else model


def _fold(graph: onnx.GraphProto, opsets: Sequence[onnx.OperatorSetIdProto]) -> None:
    """Replace nodes that read only constants by their results."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {item.name for item in graph.output}
    remaining = []
    for node in graph.node:
        if not _folds(node, constants, outputs):
            remaining.append(node)
            continue
        values = _values(node, constants, opsets)
        operands = [constants[name] for name in node.input if name]
        if operands and _bytes(values) > max(SMALL, 2 * _bytes(operands)):
            remaining.append(node)
            continue
        for tensor in values:
            graph.initializer.append(tensor)
            constants[tensor.name] = graph.initializer[-1]
    if len(remaining) < len(graph.node):
        del graph.node[:]
        graph.node.extend(remaining)


def _bytes(tensors: Iterable[onnx.TensorProto]) -> int:
    return sum(tensor.ByteSize() for tensor in tensors)


def _folds(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], outputs: set[str]) -> bool:
    if node.domain not in ("", "ai.onnx") or node.op_type not in FOLDED or outputs & set(node.output):
        return False
    if any(attribute.name in ("sparse_value", "value_string", "value_strings") for attribute in node.attribute):
        return False
    return all(name in constants for name in node.input if name)


def _values(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], opsets: Sequence[onnx.OperatorSetIdProto]
) -> list[onnx.TensorProto]:
    """The results of a node that reads only constants."""
    if node.op_type == "Constant" and node.attribute[0].name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        return [tensor]
    # the evaluator follows the operators' definitions of this opset
    names = [name for name in dict.fromkeys(node.input) if name]
    inputs = [helper.make_tensor_value_info(name, constants[name].data_type, None) for name in names]
    results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    alone = helper.make_model(helper.make_graph([node], "one", inputs, results), opset_imports=opsets)
    feeds = {name: numpy_helper.to_array(constants[name]) for name in names}
    arrays = ReferenceEvaluator(alone).run(None, feeds)
    return [
        numpy_helper.from_array(np.ascontiguousarray(array).reshape(np.shape(array)), result.name)
        for array, result in zip(arrays, results, strict=True)
    ]


def _make_gemms_plain(graph: onnx.GraphProto) -> None:
    """Move the factors of each Gemm into its constants, and transpose its activations in a node of their own."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        settings = {item.name: item for item in node.attribute}
        if node.op_type == "Gemm" and node.input[1] in constants:
            biased = any(node.input[2:])
            if "alpha" in settings:
                _scale(graph, node, 1, constants, settings["alpha"])
            if "beta" in settings and (not biased or node.input[2] in constants):
                _scale(graph, node, 2, constants, settings["beta"])
            if "transA" in settings and settings["transA"].i:
                turned = f"{node.output[0]}_turned"
                nodes.append(helper.make_node("Transpose", [node.input[0]], [turned], name=turned, perm=[1, 0]))
                node.input[0], settings["transA"].i = turned, 0
        nodes.append(node)
    if len(nodes) > len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)


def _scale(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    position: int,
    constants: dict[str, onnx.TensorProto],
    factor: onnx.AttributeProto,
) -> None:
    """Multiply a constant that a node reads by a factor, and set the factor to 1."""
    if factor.f != 1 and any(node.input[position:]):
        old = numpy_helper.to_array(constants[node.input[position]])
        name = f"{node.input[position]}_scaled_for_{node.output[0]}"
        graph.initializer.append(numpy_helper.from_array((old * factor.f).astype(old.dtype), name))
        constants[name] = graph.initializer[-1]
        node.input[position] = name
    factor.f = 1.0


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Name nodes after their output: those that read weights without a name, and those whose name another node has."""
    used_names = {node.name for node in graph.node}
    names_so_far: set[str] = set()
    for node in graph.node:
        if node.name in names_so_far or (not node.name and node.op_type in WEIGHS):
            name, number = node.output[0], 1
            while name in used_names:
                number += 1
                name = f"{node.output[0]}_{number}"
            node.name = name
            used_names.add(name)
        if node.name:
            names_so_far.add(node.name)
