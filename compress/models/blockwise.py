"""Weights of an ONNX graph in 4 bits, with a scale for each block of them."""

from collections.abc import Sequence

import onnx


def quantize_blockwise(
    model: onnx.ModelProto,
    operators: Sequence[str],
    *,
    block_size: int,
    symmetric: bool,
    accuracy_level: int = 0,
) -> onnx.ModelProto:
    """Round to nearest what MatMul and Gather keep: they become MatMulNBits and GatherBlockQuantized of ONNX Runtime.

    Args:
        model: is rewritten in place.
        operators: of MatMul and Gather those that are quantized; without a constant matrix they stay.
        block_size: weights that share a scale, along a matrix's inputs or a table's row.
        symmetric: scales only; otherwise a zero point for each block too.
        accuracy_level: arithmetic of the products: 1 float, 4 int8, 0 the kernel's own choice.
    """
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        model,
        bits=4,
        block_size=block_size,
        is_symmetric=symmetric,
        accuracy_level=accuracy_level,
        op_types_to_quantize=tuple(operators),
    )
    quantizer.process()
    found: onnx.ModelProto = quantizer.model.model
    return found
