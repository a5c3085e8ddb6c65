"""A finding on other runtimes: operators that keep a graph from loading in OpenVINO."""

from collections import Counter

from compress.doctor.advice import Finding
from compress.doctor.executed import ProfiledGraph

OWN_DOMAIN = "com.microsoft"
IN_OPENVINO = frozenset(
    "Attention BiasAdd BiasGelu DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu FusedConv "
    "FusedGemm FusedMatMul GatherBlockQuantized Gelu GroupNorm GroupQueryAttention MatMulIntegerToFloat MatMulNBits "
    "MultiHeadAttention Pad QLinearAdd QLinearAveragePool QLinearConcat QLinearLeakyRelu QLinearMul QLinearReduceMean "
    "QLinearSigmoid QLinearSoftmax QLinearWhere QuickGelu Range RotaryEmbedding SimplifiedLayerNormalization "
    "SkipLayerNormalization SkipSimplifiedLayerNormalization DequantizeLinear QuantizeLinear".split()
)
"""ONNX Runtime's own operators that OpenVINO 2026.4 can read: src/frontends/onnx/frontend/src/op/com.microsoft."""


def openvino(subject: ProfiledGraph) -> Finding | None:
    """A finding if OpenVINO cannot read some operators of ONNX Runtime, with the form of int8 that it can read."""
    unknown = Counter(
        node.op_type
        for node in subject.model.graph.node
        if node.domain == OWN_DOMAIN and node.op_type not in IN_OPENVINO
    )
    if not unknown:
        return None
    listed = ", ".join(f"{count} {op}" for op, count in unknown.most_common(5))
    is_int8 = any(op.startswith("Q") for op in unknown)
    return Finding(
        "it does not load in OpenVINO",
        f"operators of ONNX Runtime alone: {listed}",
        "compress quantize FLOAT --form qdq --train FILE"
        if is_int8
        else "export it again without them: compress export MODEL --fuse never",
    )
