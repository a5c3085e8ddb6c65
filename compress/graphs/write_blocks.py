"""Weights of an ONNX graph in few bits, with a scale and a zero point for each block of weights."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graphs.matrices import Matrix, add_domain, replace_nodes
from compress.ops.blockwise import Blocks

DOMAIN = "com.microsoft"


def put_blocks(
    model: onnx.ModelProto, blocks: Mapping[str, Blocks], products: list[Matrix], bits: int, accuracy_level: int
) -> None:
    """Write matrix products as MatMulNBits of ONNX Runtime, in place.

    Args:
        blocks: the rounded matrices by name, (outputs, inputs).
        products: the products to write.
        accuracy_level: arithmetic of the products: 1 float, 4 int8, 0 the kernel's own choice.
    """
    add_domain(model, DOMAIN)
    names_in_graph: set[str] = set()
    by = {}
    for product in products:
        (codes, scales, zeros), name = blocks[product.name], product.name
        node = product.node
        inputs = [node.input[0], f"{name}_Q{bits}", f"{name}_scales"]
        tensors = [packed(codes, bits), scales.reshape(-1)]
        if (zeros != 2 ** (bits - 1)).any():  # otherwise they are MatMulNBits' default
            inputs.append(f"{name}_zero_points")
            tensors.append(packed_zeros(zeros, bits))
        if name not in names_in_graph:  # several products may share a matrix
            names_in_graph.add(name)
            model.graph.initializer.extend(
                numpy_helper.from_array(np.ascontiguousarray(tensor), constant_name)
                for tensor, constant_name in zip(tensors, inputs[1:], strict=True)
            )
        by[node.output[0]] = [
            helper.make_node(
                "MatMulNBits",
                inputs,
                list(node.output),
                name=f"{node.name}_Q{bits}",
                domain=DOMAIN,
                K=product.weights.shape[0],
                N=product.weights.shape[1],
                bits=bits,
                block_size=codes.shape[-1],
                accuracy_level=accuracy_level,
            )
        ]
    replace_nodes(model, by)


def packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Two codes of 4 bits in a byte, the first below: (outputs, blocks, bytes of a block)."""
    return codes if bits == 8 else codes[..., 0::2] | (codes[..., 1::2] << 4)


def packed_zeros(zeros: np.ndarray, bits: int) -> np.ndarray:
    """Zero points packed row by row, an odd last one alone in its byte; real-valued ones stay as they are."""
    if zeros.dtype != np.uint8:
        return zeros.astype(np.float32).reshape(-1)
    even = np.pad(zeros, ((0, 0), (0, zeros.shape[1] % 2))) if bits == 4 else zeros
    return packed(even, bits).reshape(-1)
