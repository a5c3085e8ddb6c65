"""The ranges of a graph's activations, measured on rows."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx

from compress.comparing.activations import activations
from compress.context import Context
from compress.graphs.feeds import Batch
from compress.ops.ranges import entropy_range, least_error_range, percentile_range

BINS = 8192
"""Bins of a histogram; many, because outliers leave few bins for the other numbers."""


def ranges_of(
    graph: onnx.ModelProto,
    names: Sequence[str],
    batches: Sequence[Batch],
    context: Context,
    how: Literal["mse", "minmax", "percentile", "entropy"],
    share: float = 1.0,
) -> dict[str, tuple[float, float]]:
    """The range of each named tensor, found in a pass for the extremes and, except for minmax, one for a histogram.

    Args:
        how: the rule for the ends of a range, as in `compress.ops.ranges`; minmax takes the least and largest number.
        share: share of the numbers within the range, for percentile.
    """
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for done, arrays in enumerate(activations(graph, names, batches)):
        context.progress("measuring ranges", done, len(batches))
        for name, values in arrays.items():
            low[name], high[name] = min(low[name], float(values.min())), max(high[name], float(values.max()))
    context.progress("measuring ranges", len(batches), len(batches))
    if how == "minmax":
        return {name: (low[name], high[name]) for name in names}
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in names}
    for done, arrays in enumerate(activations(graph, names, batches)):
        context.progress("counting activations", done, len(batches))
        for name, values in arrays.items():
            counts[name] += np.histogram(values, bins=BINS, range=(low[name], high[name]))[0]
    context.progress("counting activations", len(batches), len(batches))
    if how == "percentile":
        return {name: percentile_range(counts[name], low[name], high[name], share) for name in names}
    choose = least_error_range if how == "mse" else entropy_range
    return {name: choose(counts[name], low[name], high[name]) for name in names}
