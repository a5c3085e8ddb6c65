"""Checks that refuse ONNX graphs that no quantizer can take, with one sentence each."""

from pathlib import Path

import onnx

from compress.errors import InputError
from compress.graphs.calls import EXPORT_AGAIN, short_failure
from compress.graphs.embedding_tables import tables
from compress.graphs.feeds import check_inputs
from compress.graphs.matrices import has_products
from compress.graphs.subgraphs import all_nodes

QUANTIZED = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "MatMulInteger16",
    "ConvInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "DynamicQuantizeLSTM",
    "QAttention",
    "QGemm",
    "QEmbedLayerNormalization",
    "QMoE",
    "QLinearMatMul",
    "QLinearConv",
    "QLinearAdd",
    "MatMulNBits",
    "MatMulBnb4",
    "MatMulFpQ4",
    "GatherBlockQuantized",
)
"""Operators of quantized graphs."""
HALVES = {onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.BFLOAT16: "bfloat16"}


def check_runs(path: Path) -> None:
    """Refuse a graph that onnxruntime does not load, or that has other inputs than a tokenizer gives.

    Raises:
        InputError: gives the reason in onnxruntime's words.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises classes of its own, without a common base but Exception
        raise InputError(
            f"onnxruntime {onnxruntime.__version__} cannot load the graph: {short_failure(error)}",
            where=str(path),
            fix=EXPORT_AGAIN,
        ) from error
    check_inputs(session, str(path))


def check_quantizable(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a graph in normal form that is quantized already, computes in 16 bits, or has nothing to round.

    Raises:
        InputError: says which of them it is.
    """
    operators = sorted(
        {
            node.op_type
            for node in all_nodes(model.graph)
            if node.op_type in QUANTIZED or node.op_type.startswith("QLinear")
        }
    )
    if operators:
        raise InputError(
            f"the graph is quantized already ({', '.join(operators)})",
            where=str(path),
            fix="start from the float export",
        )
    halves = [tensor for tensor in model.graph.initializer if tensor.data_type in HALVES and len(tensor.dims) > 1]
    if halves:
        raise InputError(
            f"the graph computes in {HALVES[halves[0].data_type]}: {len(halves)} of its matrices have lost half of "
            "their bits already",
            where=str(path),
            fix="start from the float32 export that it was made from",
        )
    if not has_products(model) and not tables(model):
        raise InputError(
            "nothing to quantize: the graph has no matrix product with constant float32 weights, and no table of them",
            where=str(path),
            fix="check that it is a model's float32 export, with its weights inside",
        )
