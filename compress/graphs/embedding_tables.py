"""The tables of embeddings of an ONNX graph, in fewer bits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graphs.matrices import add_domain, replace_nodes
from compress.graphs.write_blocks import DOMAIN, packed, packed_zeros
from compress.ops.blockwise import Blocks, round_to_nearest
from compress.ops.int8 import Rounded, round_table

LARGE = 1024
"""The fewest rows that make a table worth 4 bits."""
NARROWEST = 16
"""The fewest channels: a row of 8 with its scale takes as many bytes as in 8 bits."""


@dataclass(frozen=True)
class EmbeddingTable:
    """A constant matrix of floats from which rows are gathered.

    Attributes:
        node: the Gather.
        weights: (rows, channels).
    """

    node: onnx.NodeProto
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def tables(model: onnx.ModelProto) -> list[EmbeddingTable]:
    """Every Gather of rows of a constant matrix of floats, in the graph's order."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    gathers = []
    for node in model.graph.node:
        tensor = constants.get(node.input[0]) if node.op_type == "Gather" else None
        axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
        if tensor is not None and len(tensor.dims) == 2 and tensor.data_type == onnx.TensorProto.FLOAT and axis == 0:
            gathers.append(EmbeddingTable(node, numpy_helper.to_array(tensor)))
    return gathers


def worth_4_bits(rows: int, channels: int) -> bool:
    """Whether a table of that size is rounded to 4 bits, where others have 8."""
    return rows >= LARGE and channels >= NARROWEST and channels % 2 == 0


def tables_to_8_bits(
    model: onnx.ModelProto, unchanged: Collection[str] = (), rounded: Mapping[str, Rounded] | None = None
) -> int:
    """Keep tables as int8 with one scale for each, in place; only the rows that are gathered are made floats again.

    Args:
        unchanged: names of nodes whose tables stay in float.
        rounded: the rounded tables by name; without them each weight gets the nearest code.

    Returns:
        Number of nodes rewritten.
    """
    by = {}
    chosen_tables = [table for table in tables(model) if table.node.name not in unchanged]
    names_in_graph: set[str] = set()
    for table in chosen_tables:
        node, name = table.node, table.node.input[0]
        if name not in names_in_graph:
            names_in_graph.add(name)
            codes, scale = round_table(table.weights) if rounded is None else rounded[name]
            model.graph.initializer.extend(
                numpy_helper.from_array(tensor, constant_name)
                for tensor, constant_name in zip((codes, scale), int8_names(name), strict=True)
            )
        codes_name, scale_name = int8_names(name)
        rows = f"{node.output[0]}_int8"
        by[node.output[0]] = [
            helper.make_node("Gather", [codes_name, node.input[1]], [rows], name=node.name, axis=0),
            helper.make_node("DequantizeLinear", [rows, scale_name], list(node.output)),
        ]
    replace_nodes(model, by)
    return len(chosen_tables)


def int8_names(name: str) -> tuple[str, str]:
    """Names of an int8 table's codes and scale; a matrix has other names, for one tensor may be both."""
    return f"{name}_rows_int8", f"{name}_rows_scale"


def tables_to_4_bits(
    model: onnx.ModelProto,
    block_size: int,
    *,
    symmetric: bool,
    unchanged: Collection[str] = (),
    rounded: Mapping[str, Blocks] | None = None,
) -> int:
    """Round large tables to 4 bits, in place: GatherBlockQuantized of ONNX Runtime.

    Each row that this gathers takes about a microsecond on a CPU (onnxruntime 1.31, 160 channels), so small tables stay
    as they are: positions and segments are gathered as often as tokens, and there is little to save.

    Args:
        block_size: weights of a row that share a scale.
        symmetric: scales only; otherwise a zero point for each block too.
        unchanged: names of nodes whose tables stay as they are.
        rounded: the rounded large tables by name; without them each weight gets the nearest code.

    Returns:
        Number of nodes rewritten.
    """
    by = {}
    names_in_graph: set[str] = set()
    for table in tables(model):
        node, name = table.node, table.node.input[0]
        rows, channels = table.weights.shape
        if node.name in unchanged or not worth_4_bits(rows, channels):
            continue
        if rounded is None:
            codes, scales, zeros = round_to_nearest(table.weights, 4, block_size, symmetric=symmetric)
        else:
            codes, scales, zeros = rounded[name]
        tensors = {  # a matrix has other names
            f"{name}_rows_Q4": packed(codes, 4).reshape(rows, -1)[:, : channels // 2],
            f"{name}_rows_scales": scales,
        }
        if not symmetric:
            tensors[f"{name}_rows_zero_points"] = packed_zeros(zeros, 4).reshape(rows, -1)
        if name not in names_in_graph:
            names_in_graph.add(name)
            constants = (numpy_helper.from_array(np.ascontiguousarray(data), to) for to, data in tensors.items())
            model.graph.initializer.extend(constants)
        first, *others = tensors
        by[node.output[0]] = [_gather(node, [first, node.input[1], *others], block_size)]
    if by:
        add_domain(model, DOMAIN)
    replace_nodes(model, by)
    return len(by)


def _gather(node: onnx.NodeProto, inputs: list[str], block_size: int) -> onnx.NodeProto:
    """The node that replaces a Gather of a table in 4 bits."""
    settings = {"bits": 4, "block_size": block_size, "gather_axis": 0, "quantize_axis": 1}
    return helper.make_node("GatherBlockQuantized", inputs, list(node.output), node.name, domain=DOMAIN, **settings)
