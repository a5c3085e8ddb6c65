"""SmoothQuant on an ONNX graph: outliers of activations, measured and moved into the matrices that multiply them."""

from collections.abc import Sequence

import numpy as np
import onnx

from compress.comparing.activations import activations
from compress.context import Context
from compress.graphs.divide import divide, readers
from compress.graphs.feeds import Batch
from compress.graphs.matrices import matrices
from compress.ops.outlier_scales import outlier_scales


def smooth(graph: onnx.ModelProto, batches: Sequence[Batch], alpha: float, context: Context) -> None:
    """Divide each channel of activations, and multiply the matrices' rows by the same factor, in place.

    Xiao et al. 2023 (arXiv:2211.10438), section 4.

    Args:
        batches: batches of training rows.
        alpha: share of the difficulty that goes into the matrices, 0 to 1.
    """
    products = matrices(graph, attention=True)
    groups = readers(graph, products)
    names = sorted(groups)
    largest = {name: np.zeros(groups[name][0].weights.shape[0]) for name in names}
    for done, arrays in enumerate(activations(graph, names, batches)):
        context.progress("looking for outliers", done, len(batches))
        largest = {name: np.maximum(largest[name], np.abs(values).max(0)) for name, values in arrays.items()}
    context.progress("looking for outliers", len(batches), len(batches))
    rows = {name: np.max([np.abs(product.weights).max(1) for product in group], 0) for name, group in groups.items()}
    divide(graph, products, {name: outlier_scales(largest[name], rows[name], alpha) for name in names})
