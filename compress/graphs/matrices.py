"""The products with a constant matrix in an ONNX graph: their weights are what quantization rounds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graphs.subgraphs import read_in, reads, subgraphs

WEIGHS: Mapping[str, tuple[int, ...]] = {
    "MatMul": (0, 1),
    "FusedMatMul": (0, 1),
    "Gemm": (0, 1),
    "FusedGemm": (0, 1),
    "Einsum": (0, 1),
    "Attention": (1,),
    "Conv": (1,),
    "FusedConv": (1,),
    "ConvTranspose": (1,),
    "RNN": (1, 2),
    "GRU": (1, 2),
    "LSTM": (1, 2),
    "Gather": (0,),
    "GatherND": (0,),
    "GatherElements": (0,),
    "EmbedLayerNormalization": (2, 3, 4),
}
"""Operators that multiply by weights, or gather rows of them -> positions of the inputs that may be weights."""
ATTENTION_SETTINGS = ("num_heads", "unidirectional", "mask_filter_value")
"""The settings that QAttention takes over from Attention."""
FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.DOUBLE,
)


@dataclass(frozen=True)
class Matrix:
    """A product of activations and a constant matrix.

    Attributes:
        node: the MatMul, or a fused Attention: its queries, keys and values are one product.
        weights: (inputs, outputs).
    """

    node: onnx.NodeProto
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]]

    @property
    def name(self) -> str:
        """Name of the matrix."""
        return str(self.node.input[1])

    @property
    def reads(self) -> str:
        """Name of the activations, (..., inputs)."""
        return str(self.node.input[0])

    @property
    def is_attention(self) -> bool:
        """Whether the product is part of a fused Attention."""
        return bool(self.node.op_type == "Attention")


def fits_8_bits(node: onnx.NodeProto) -> bool:
    """Whether QAttention can replace a fused Attention.

    It needs a bias. It has no scale of its own, no queries of another width, no earlier keys and no rotary positions.
    """
    settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    sizes = settings.pop("qkv_hidden_sizes", None) or [0]
    has_bias = len(node.input) > 2 and bool(node.input[2])
    more = any(settings[name] for name in settings if name not in ATTENTION_SETTINGS)
    return has_bias and len(set(sizes)) == 1 and not more and not any(node.input[4:]) and not any(node.output[1:])


def matrices(model: onnx.ModelProto, *, attention: bool = False) -> list[Matrix]:
    """Every MatMul by a constant matrix of floats, in the graph's order.

    Args:
        attention: whether the fused Attentions that `fits_8_bits` accepts are taken too.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return [
        Matrix(node, numpy_helper.to_array(constants[node.input[1]]))
        for node in model.graph.node
        if (node.op_type == "MatMul" or (attention and node.op_type == "Attention" and fits_8_bits(node)))
        and node.input[1] in constants
        and len(constants[node.input[1]].dims) == 2
        and constants[node.input[1]].data_type == onnx.TensorProto.FLOAT
    ]


def constant_bias(model: onnx.ModelProto, product: Matrix) -> tuple[str, str]:
    """The constant that is added to a MatMul's result and to nothing else, and the name of the sum.

    Returns:
        The names of the (outputs,) bias and of the sum; without a bias, "" and the name of the product's result.
    """
    result, graph = product.node.output[0], model.graph
    readers = [node for node in graph.node if result in reads(node)]
    is_output = result in {output.name for output in graph.output}
    if len(readers) != 1 or readers[0].op_type not in {"Add", "Sum"} or len(readers[0].input) != 2 or is_output:
        return "", str(result)
    other = next((name for name in readers[0].input if name != result), "")
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    if shapes.get(other) != [product.weights.shape[1]]:
        return "", str(result)
    return str(other), str(readers[0].output[0])


def left_in_float(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that multiply by a constant matrix of floats, or gather rows of one."""
    return _left_in(model.graph, frozenset())


def _left_in(graph: onnx.GraphProto, outer: frozenset[str]) -> list[str]:
    """Names as in `left_in_float`; `outer` are the matrices of the graphs around this one."""
    own = [*graph.initializer, *_constants(graph.node)]
    weights = outer | {tensor.name for tensor in own if tensor.data_type in FLOATS and len(tensor.dims) > 1}
    names = []
    for node in graph.node:
        weighed = (node.input[position] for position in WEIGHS.get(node.op_type, ()) if position < len(node.input))
        if any(name in weights for name in weighed):
            names.append(node.name or node.output[0])
        for inner in subgraphs(node):
            names += _left_in(inner, weights)
    return names


def _constants(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """The tensors of Constant nodes, named after the nodes' outputs."""
    for node in nodes:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            held = node.attribute[0].t
            yield onnx.TensorProto(name=node.output[0], dims=held.dims, data_type=held.data_type)


def has_products(model: onnx.ModelProto) -> bool:
    """Whether a graph has a product with a constant matrix of floats that quantizers can round."""
    floats = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2
    }
    return any(
        len(node.input) > 1 and node.input[1] in floats
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm", "Attention")
    )


def gemms_to_matmuls(model: onnx.ModelProto) -> int:
    """Write each Gemm by a constant matrix as a MatMul and a Sum, in place: the same arithmetic.

    With an Add in place of the Sum, onnxruntime would make a Gemm again while it loads the graph, and a Gemm cannot
    multiply integers. A matrix that several nodes read transposed is transposed once.

    Returns:
        Number of nodes rewritten.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    by = {}
    turned: dict[str, str] = {}
    for node in graph.node:
        settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type != "Gemm" or node.input[1] not in constants or settings.get("transA", 0):
            continue
        if (settings.get("alpha", 1.0), settings.get("beta", 1.0)) != (1.0, 1.0):
            continue
        name = node.input[1]
        if settings.get("transB", 0):
            if name not in turned:
                turned[name] = f"{name}_of_{node.name or node.output[0]}"
                matrix = np.ascontiguousarray(numpy_helper.to_array(constants[name]).T)
                graph.initializer.append(numpy_helper.from_array(matrix, turned[name]))
            name = turned[name]
        has_bias = len(node.input) > 2 and bool(node.input[2])
        product = f"{node.output[0]}_product" if has_bias else node.output[0]
        by[node.output[0]] = [helper.make_node("MatMul", [node.input[0], name], [product], name=node.name)]
        if has_bias:
            by[node.output[0]].append(helper.make_node("Sum", [product, node.input[2]], list(node.output)))
    replace_nodes(model, by)
    return len(by)


def replace_nodes(model: onnx.ModelProto, by: dict[str, list[onnx.NodeProto]]) -> None:
    """Replace nodes in place, and drop the constants that nothing reads any more.

    Args:
        by: the first output of a node -> the nodes that compute it instead.
    """
    graph = model.graph
    nodes = [new for node in graph.node for new in by.get(node.output[0], [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(model)


def drop_unread(model: onnx.ModelProto) -> None:
    """Remove the constants that no node and no output reads, in place."""
    graph = model.graph
    names_read = read_in(graph)
    constants = [tensor for tensor in graph.initializer if tensor.name in names_read]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def add_domain(model: onnx.ModelProto, domain: str, version: int = 1) -> None:
    """Declare that a graph uses the operators of a domain."""
    if domain not in {item.domain for item in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(domain, version))
