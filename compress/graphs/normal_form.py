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
"""Operators that exporters put between a weight and what reads it; none of them makes much out of little."""
SMALL = 65536
"""Bytes of a result that is folded whatever it is made of; a larger one may take twice as many as that, as floats made
of halves do."""
LEAST_IR = 4
"""The first version of the format in which a constant need not be an input too."""


def in_normal_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same computation, in which weights are constants that products read directly and nodes have names.

    Local functions are inlined; constants are no inputs; what is computed of constants alone is a constant; a Gemm has
    no factors, and turns nothing but its matrix; a node that reads weights has a name, and no two have the same.

    A graph of ours is in that form already, and stays as it is, but for the names of nodes that had none.

    Args:
        model: is changed in place where that is possible; use what is returned.
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
    """The same computation, with the bodies of local functions in the place of their calls."""
    return inline_local_functions(model) if model.functions else model


def _fold(graph: onnx.GraphProto, opsets: Sequence[onnx.OperatorSetIdProto]) -> None:
    """Put constants in the place of nodes that read nothing else."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {item.name for item in graph.output}
    kept = []
    for node in graph.node:
        if not _folds(node, constants, outputs):
            kept.append(node)
            continue
        values = _values(node, constants, opsets)
        read = [constants[name] for name in node.input if name]
        if read and _bytes(values) > max(SMALL, 2 * _bytes(read)):
            kept.append(node)
            continue
        for tensor in values:
            graph.initializer.append(tensor)
            constants[tensor.name] = graph.initializer[-1]
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(kept)


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
    """What a node gives that reads constants alone."""
    if node.op_type == "Constant" and node.attribute[0].name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        return [tensor]
    # an evaluator that knows the operators as this opset has them
    names = [name for name in dict.fromkeys(node.input) if name]
    inputs = [helper.make_tensor_value_info(name, constants[name].data_type, None) for name in names]
    results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    alone = helper.make_model(helper.make_graph([node], "one", inputs, results), opset_imports=opsets)
    feeds = {name: numpy_helper.to_array(constants[name]) for name in names}
    found = ReferenceEvaluator(alone).run(None, feeds)
    return [
        numpy_helper.from_array(np.ascontiguousarray(array).reshape(np.shape(array)), result.name)
        for array, result in zip(found, results, strict=True)
    ]


def _make_gemms_plain(graph: onnx.GraphProto) -> None:
    """Move the factors of each Gemm into its constants, and turn its activations by a node of their own."""
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
    """Let a node read a constant times a factor, which becomes 1."""
    if factor.f != 1 and any(node.input[position:]):
        old = numpy_helper.to_array(constants[node.input[position]])
        name = f"{node.input[position]}_scaled_for_{node.output[0]}"
        graph.initializer.append(numpy_helper.from_array((old * factor.f).astype(old.dtype), name))
        constants[name] = graph.initializer[-1]
        node.input[position] = name
    factor.f = 1.0


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Name nodes that read weights after what they give, and those whose name is taken already."""
    taken = {node.name for node in graph.node}
    seen: set[str] = set()
    for node in graph.node:
        if node.name in seen or (not node.name and node.op_type in WEIGHS):
            named, number = node.output[0], 1
            while named in taken:
                number += 1
                named = f"{node.output[0]}_{number}"
            node.name = named
            taken.add(named)
        if node.name:
            seen.add(node.name)
