"""A graph with its executed nodes and their times, its matrix products, and the softmaxes of its attention."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from compress.benching.flops import INT8_PRODUCTS, PRODUCTS
from compress.machine.kernels import Kernel

FUSED_ATTENTION = {"Attention", "QAttention", "MultiHeadAttention", "PackedAttention", "GroupQueryAttention"}
THROUGH = set(
    "Add Sub Mul Div Where Cast Reshape Transpose Identity Max Min Clip Expand Unsqueeze Squeeze Dropout "
    "DynamicQuantizeLinear QuantizeLinear DequantizeLinear".split()
)
"""Operators that may be between a softmax and the products before and after it."""

Values = tuple[tuple[str, tuple[int, ...]], ...]
Rates = Callable[[Sequence[Kernel]], Sequence[float]]
"""A function that times kernels, in 10^9 operations a second."""


class Node(NamedTuple):
    """An executed node, with its time in microseconds and the (type, shape) of its inputs and outputs.

    Weights that onnxruntime packed are not among the inputs.
    """

    op: str
    name: str
    us: float
    inputs: Values
    outputs: Values
    provider: str = "CPUExecutionProvider"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.outputs[0][1] if self.outputs else ()


class Product(NamedTuple):
    """A matrix product with weights: its number format, (rows, inputs) times (inputs, outputs), microseconds.

    Attributes:
        kind: the kind as in `Kernel`: `fp32`, `int8_dynamic`, `int8_static`, `4bit`, or `4bit_float` for 4-bit weights
            with arithmetic in fp32.
    """

    kind: str
    rows: int
    inputs: int
    outputs: int
    us: float


class Operator(Protocol):
    """A function that times a single operator."""

    def __call__(self, op: str, shape: tuple[int, int, int], heads: int = 1) -> float:
        """Microseconds of `op` on (batch, tokens, width), with the graph's number of threads."""
        ...


@dataclass(frozen=True)
class ProfiledGraph:
    """A graph with the profile of one call.

    Attributes:
        model: the ONNX model as written; its large weights may be missing.
        nodes: the nodes of the call, as onnxruntime ran them after its own optimizations.
        threads: threads of the call.
        length: tokens of the call.
        latency_ms: number of threads -> latency of calls of that length.
        busy_cores: cores that other processes kept busy during the timing.
        rates: the function that times kernels.
        operator: the function that times an operator.
        fixed_length: the only number of tokens that the graph takes, or None.
        row_tokens: lengths of the rows that the graph is meant for, if they are known.
        typical: (tokens, latency in ms) of a row of median length, if rows are known and the graph takes it.
        cuda: the nodes of a call with the CUDA provider, if there is one.
        external: sizes of the graph's other weight files, by name.
    """

    model: Any
    nodes: Sequence[Node]
    threads: int
    length: int
    latency_ms: Mapping[int, float]
    rates: Rates
    operator: Operator
    busy_cores: float = 0.0
    fixed_length: int | None = None
    row_tokens: Sequence[int] = ()
    typical: tuple[int, float] | None = None
    cuda: Sequence[Node] | None = None
    external: Mapping[str, int] | None = None

    @property
    def total_us(self) -> float:
        """Time of all nodes in microseconds."""
        return sum(node.us for node in self.nodes) or 1.0

    def share(self, part: Iterable[Node | Product]) -> float:
        """Share of some nodes or products in the time of all nodes."""
        return sum(item.us for item in part) / self.total_us


def read_events(passes: Sequence[Sequence[Mapping[str, Any]]]) -> list[Node]:
    """The nodes of one call from several profiles of the same graph, each with its shortest time."""

    def values(listed: Iterable[Mapping[str, Sequence[int]]]) -> Values:
        return tuple((kind, tuple(shape)) for item in listed for kind, shape in item.items())

    return [
        Node(
            op=events[0]["args"]["op_name"],
            name=events[0]["name"].removesuffix("_kernel_time"),
            us=float(min(event["dur"] for event in events)),
            inputs=values(events[0]["args"].get("input_type_shape", ())),
            outputs=values(events[0]["args"].get("output_type_shape", ())),
            provider=events[0]["args"].get("provider", ""),
        )
        for events in zip(*passes, strict=True)
        if events[0]["args"]["op_name"] not in {"If", "Loop", "Scan"}  # their nodes are listed too
    ]


def products(subject: ProfiledGraph) -> list[Product]:
    """The products with weights; a fused attention counts with its projections, by their share of the arithmetic."""
    four_bits = "4bit" if accuracy_levels(subject.model) == {4} else "4bit_float"
    eight_bits = int8_kinds(subject.nodes)
    weight_products = []
    for node in subject.nodes:
        if is_weight_product(node):
            kind = four_bits if node.op == "MatMulNBits" else eight_bits.get(node.op, "fp32")
            rows, inputs, outputs = math.prod(node.shape[:-1]), node.inputs[0][1][-1], node.shape[-1]
            weight_products.append(Product(kind, rows, inputs, outputs, node.us))
        elif node.op in {"Attention", "QAttention"}:
            (_, (batch, length, width)), *rest = node.inputs
            projected = next((shape[0] for _, shape in rest if len(shape) == 1), 3 * node.shape[-1])
            own, heads = 2 * width * projected, 4 * length * node.shape[-1]
            kind = eight_bits.get(node.op, "fp32")
            weight_products.append(Product(kind, batch * length, width, projected, node.us * own / (own + heads)))
    return weight_products


def int8_kinds(nodes: Iterable[Node]) -> dict[str, str]:
    """The kind of each int8 operator: with ranges of activations that are found in each call, or known before.

    Some operators only multiply what another node rounded. They count as having known ranges if no node of the call
    finds a range: this is decided for the whole graph, because a profile does not say which node reads which output.
    """
    rounds_in_calls = any(node.op == "DynamicQuantizeLinear" for node in nodes)
    kinds = dict.fromkeys((*INT8_PRODUCTS, "QAttention"), "int8_dynamic" if rounds_in_calls else "int8_static")
    return kinds | {"DynamicQuantizeMatMul": "int8_dynamic", "QLinearMatMul": "int8_static", "QGemm": "int8_static"}


def is_weight_product(node: Node) -> bool:
    """Whether a node is a product with weights, not one of two activations as inside attention."""
    if node.op not in PRODUCTS or not node.shape:
        return False
    if node.op not in {"MatMul", "FusedMatMul", "MatMulInteger", "MatMulIntegerToFloat"}:
        return True
    return len(node.shape) < 4 and (len(node.inputs) < 2 or len(node.inputs[1][1]) <= 2)


def in_attention(node: Node) -> bool:
    """Whether a node belongs to unfused attention: only its tensors have an axis of heads."""
    return node.op == "Softmax" or len(node.shape) == 4


def accuracy_levels(model: Any) -> set[int]:
    """The accuracy_levels of all MatMulNBits; 0 if a node has none."""
    return {
        next((item.i for item in node.attribute if item.name == "accuracy_level"), 0)
        for node in model.graph.node
        if node.op_type == "MatMulNBits"
    }


def unfused_attention(graph: Any) -> list[str]:
    """Names of the softmaxes between two matrix products, with any scaling, masking and casting in between."""
    makes = {output: node for node in graph.node for output in node.output if output}
    takes: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            takes[name].append(node)

    def before(node: Any) -> list[Any]:
        return [makes[name] for name in node.input if name in makes]

    def behind(node: Any) -> list[Any]:
        return [user for name in node.output for user in takes[name]]

    return [
        node.name
        for node in graph.node
        if node.op_type == "Softmax" and _meets_product(node, before) and _meets_product(node, behind)
    ]


def _meets_product(start: Any, onward: Callable[[Any], list[Any]]) -> bool:
    """Whether a matrix product can be reached from `start` through operators in `THROUGH` only."""
    waiting, visited = onward(start), set()
    while waiting:
        node = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if node.op_type in PRODUCTS or node.op_type == "Einsum":
            return True
        if node.op_type in THROUGH:
            waiting += onward(node)
    return False
