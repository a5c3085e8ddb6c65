"""Outliers that norms make by their own scales, moved into the matrices that read them: it needs no rows.

The scale of a LayerNorm "amplifies" a few channels many times in some models, DeBERTas among them, and activations that
are rounded with one scale for a tensor then have no codes left for the other channels (Wei et al. 2022,
arXiv:2209.13325, section 3.1). A norm's scale and bias tell how large its channels get, so it can be seen in the graph.
"""

import numpy as np
import onnx
from onnx import numpy_helper

from compress.graphs.divide import divide, readers
from compress.graphs.matrices import matrices
from compress.ops.outlier_scales import outlier_scales

NORMS = ("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization")
CHOOSES = ("Gather", "Identity", "Squeeze")
"""Operators by which a head takes some tokens of a norm's output: (batch, tokens, channels) -> (batch, channels)."""
OUTLIER = 16.0
"""How many times the median channel a norm's largest channel is, from which on it costs codes that matter: of the 255
codes that activations have, the median channel keeps 16."""
SPREAD = 4.0
"""Magnitude of a normed channel that few tokens exceed, in standard deviations."""
ALPHA = 0.5
"""Share of the outliers that goes into the matrices: the usual one of SmoothQuant (arXiv:2211.10438)."""


def move_norm_outliers(graph: onnx.ModelProto) -> list[str]:
    """Divide the outputs of norms with outliers, and multiply the matrices that read them, in place.

    Graphs without such norms stay as they are, bit by bit.

    Returns:
        Names of the activations that were divided.
    """
    products = matrices(graph, attention=True)
    groups = readers(graph, products)
    scales = {}
    for source, largest in _channels(graph).items():
        if source in groups and largest.max() > OUTLIER * np.median(largest):
            rows = np.max([np.abs(product.weights).max(1) for product in groups[source]], 0)
            if rows.shape != largest.shape:
                continue  # some channels alone were taken
            scales[source] = outlier_scales(largest, rows, ALPHA)
    divide(graph, products, scales)
    return list(scales)


def _channels(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Name of each norm's output, and of some of its tokens -> how large its channels get, (channels,)."""
    constants = {tensor.name: tensor for tensor in graph.graph.initializer}
    channels: dict[str, np.ndarray] = {}
    for node in graph.graph.node:
        if node.op_type in NORMS and len(node.input) > 1 and node.input[1] in constants:
            scale, *biases = (numpy_helper.to_array(constants[name]) for name in node.input[1:3] if name in constants)
            channels[node.output[0]] = SPREAD * np.abs(scale) + sum(np.abs(bias) for bias in biases)
        elif node.op_type in CHOOSES and node.input[0] in channels:
            channels[node.output[0]] = channels[node.input[0]]
    return {name: sizes for name, sizes in channels.items() if sizes.ndim == 1}
